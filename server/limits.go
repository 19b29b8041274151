package server

import (
	"posthouse/config"
	"posthouse/delivery"
	"posthouse/imap"
	"posthouse/jmap"
	"posthouse/message"
	"posthouse/smtp"
	"posthouse/store"
	"posthouse/web"
)

// Each section of the configuration's limits becomes the Limits of the package
// that keeps it. All agree on the signs: negative is off.

func storeLimits(l config.Limits) store.Limits {
	return store.Limits{
		MessageBytes: l.Message.Int64(), MailboxNameBytes: l.MailboxName.Int(), MailboxPathBytes: l.MailboxPath.Int(),
		MailboxDepth: l.MailboxDepth.Int(), Mailboxes: l.Mailboxes.Int(), Keywords: l.Keywords.Int(), KeywordBytes: l.KeywordBytes.Int(),
		Annotations: l.Annotations.Int(), AnnotationBytes: l.AnnotationSize.Int(),
	}
}

func messageLimits(l config.Limits) message.Limits {
	return message.Limits{
		Depth: l.MIMEDepth.Int(), Parts: l.MIMEParts.Int(), HeaderBytes: l.HeaderBytes.Int(), HeaderLines: l.HeaderLines.Int(),
		FieldBytes: l.HeaderField.Int(), Addresses: l.HeaderAddress.Int(), Params: l.MIMEParameters.Int(),
	}
}

func deliveryLimits(l config.Limits) delivery.Limits {
	return delivery.Limits{Hops: l.Hops.Int(), HeaderBytes: l.HeaderBytes.Int64()}
}

func smtpLimits(l config.Limits) smtp.Limits {
	return smtp.Limits{
		CommandLine: l.SMTPCommandLine.Int(), AuthLine: l.SMTPAuthLine.Int(), DataLine: l.SMTPDataLine.Int(),
		Message: l.Message.Int64(), Recipients: l.SMTPRecipients.Int(), Messages: l.SMTPMessages.Int(),
		MXSession: l.SMTPSession.Duration(), MXSessionBytes: l.SMTPSessionBytes.Int64(), SubmissionSession: l.SubmissionSession.Duration(),
		BadCommands: l.SMTPBadCommands.Int(), BadCommandsBeforeLogin: l.SMTPBadBeforeLogin.Int(),
		BadRecipients: l.SMTPBadRecipients.Int(), FailedLogins: l.SMTPFailedLogins.Int(), LoginPause: l.SMTPLoginPause.Duration(),
		LoginTimeout: l.SMTPLoginTime.Duration(), CommandTimeout: l.SMTPCommandTime.Duration(), DataTimeout: l.SMTPDataTime.Duration(),
		WriteTimeout: l.SMTPStallTime.Duration(), DataRate: l.SMTPDataRate.Int(),
		ConnectionsPerAddress: l.SMTPPerAddress.Int(), ConnectionRate: l.SMTPRate.Int(), GreetingPause: max(0, l.SMTPGreetingPause.Duration()), Paused: l.SMTPPaused.Int(),
	}
}

func imapLimits(l config.Limits) imap.Limits {
	return imap.Limits{
		LineBeforeLogin: l.IMAPLineBeforeLogin.Int(), LiteralBeforeLogin: l.IMAPLiteralBeforeLogin.Int(),
		Line: l.IMAPLine.Int(), Flood: l.IMAPFlood.Int(), Literal: l.IMAPLiteral.Int(), Literals: l.IMAPLiterals.Int(),
		MessageBytes: l.Message.Int64(), AppendMessages: l.IMAPAppendMessages.Int(), Nesting: l.IMAPNesting.Int(),
		FetchItems: l.IMAPFetchItems.Int(), HeaderNames: l.IMAPHeaderNames.Int(), SearchKeys: l.IMAPSearchKeys.Int(),
		ListPatterns: l.IMAPListPatterns.Int(), Messages: l.IMAPMessages.Int(), PatternBytes: l.IMAPPattern.Int(),
		BadCommands: l.IMAPBadCommands.Int(), BadBeforeLogin: l.IMAPBadBeforeLogin.Int(), FailedLogins: l.IMAPFailedLogins.Int(),
		LoginPause: l.IMAPLoginPause.Duration(), LoginTime: l.IMAPLoginTime.Duration(), IdleTime: l.IMAPIdleTime.Duration(),
		StallTime: l.IMAPStallTime.Duration(), ProgressTime: l.IMAPProgressTime.Duration(), PerAddress: l.IMAPPerAddress.Int(), PerUserAddress: l.IMAPPerUser.Int(), ConnectionRate: l.IMAPRate.Int(),
	}
}

func webLimits(l config.Limits) web.Limits {
	return web.Limits{HeaderBytes: l.HTTPHeader.Int(), HeaderTime: l.HTTPHeaderTime.Duration(), IdleTime: l.HTTPIdleTime.Duration(),
		Connections: l.HTTPConnections.Int(), PerMinute: l.HTTPRate.Int()}
}

func jmapLimits(l config.Limits) jmap.Limits {
	return jmap.Limits{
		RequestBytes: l.JMAPRequest.Int64(), Calls: l.JMAPCalls.Int(), Get: l.JMAPGet.Int(), Set: l.JMAPSet.Int(), Concurrent: l.JMAPConcurrent.Int(),
		UploadBytes: l.Message.Int64(), Uploads: l.JMAPUploads.Int(), UnusedBytes: l.JMAPUnused.Int64(), UnusedTime: l.JMAPUnusedTime.Duration(),
		Depth: l.JMAPDepth.Int(), FilterDepth: l.JMAPFilterDepth.Int(), Conditions: l.JMAPConditions.Int(), SortKeys: l.JMAPSortKeys.Int(),
		Streams: l.JMAPStreams.Int(), BodyRate: l.HTTPBodyRate.Int(), UserPerMinute: l.JMAPRate.Int(), IndexBytes: l.JMAPIndex.Int64(),
		Subscriptions: l.JMAPSubscriptions.Int(), SessionLifetime: l.WebSession.Duration(), MaxDelayedSend: l.DelayedSend.Duration(),
	}
}
