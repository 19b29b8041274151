package config

import "time"

// Limits is the section [limits]. Each bounds what one client, message or
// account can take from the others.
type Limits struct {
	Message         Size  `toml:"message" doc:"Largest message, over every protocol; announced by SIZE and APPENDLIMIT." why:"Large enough for what people attach; most servers of the world refuse more than 25 to 50 MB."`
	FreeDisk        Size  `toml:"free_disk" doc:"Free space below which new mail is refused for the time being; reading and deleting go on." why:"Two of the largest messages: what was begun can be finished."`
	FreeDiskPercent Count `toml:"free_disk_percent" doc:"The same as a share of the file system, in percent; what is more of the two holds." why:"File systems become slow before they are full, and who is warned late has no room to tidy up."`
	Memory          Size  `toml:"memory" doc:"Soft ceiling of the memory of the whole process: near it, memory is given back more eagerly. Off: three quarters of the machine's." why:"The machine's other programs need some, the page cache most of all."`
	HashMemory      Size  `toml:"hash_memory" off:"no" doc:"Memory that checking passwords may take at once, 19 MB each; more logins wait." why:"A crowd that logs in at once must not push out everything else."`
	Descriptors     Count `toml:"descriptors" doc:"Open files and connections of the process (RLIMIT_NOFILE is raised to this as far as the system allows)." why:"An idle connection costs one; the usual 1,024 is soon used up by phones."`
	FailedPerMin    Count `toml:"failed_logins_per_minute" doc:"Failed logins from one address (IPv6: /64) in a minute before more are refused. Loopback is exempt, and so is a password that was right within the last hour." why:"Ten guesses a minute lead nowhere; a person who mistypes tries three times."`
	FailedPerDay    Count `toml:"failed_logins_per_day" doc:"The same for a day."`
	FailedPerUser   Count `toml:"failed_logins_per_user" doc:"Failed logins of one user in a minute, from everywhere, after which logins from networks that this user never came from take 3 s longer." why:"Guessing from many addresses becomes slow, and nobody is locked out."`

	SMTPCommandLine       Size     `toml:"smtp_command_line" live:"yes" doc:"Longest SMTP command line." why:"RFC 5321 §4.5.3.1.4 asks for 512; extensions and long addresses take more."`
	SMTPAuthLine          Size     `toml:"smtp_auth_line" live:"yes" doc:"Longest line of an AUTH exchange (RFC 4954 §4)."`
	SMTPDataLine          Size     `toml:"smtp_data_line" live:"yes" doc:"Longest line of a message that is taken, as it is." why:"Programs write such lines although RFC 5321 allows 998; cutting them breaks signatures."`
	SMTPRecipients        Count    `toml:"smtp_recipients" live:"yes" doc:"Recipients of one message." why:"RFC 5321 §4.5.3.1.8 asks for 100 at least."`
	SMTPMessages          Count    `toml:"smtp_messages_per_connection" live:"yes" doc:"Messages on one connection."`
	SMTPSession           Duration `toml:"smtp_session" live:"yes" doc:"Longest session on the MX ports."`
	SMTPSessionBytes      Size     `toml:"smtp_session_bytes" live:"yes" doc:"Bytes in one session on the MX ports."`
	SubmissionSession     Duration `toml:"submission_session" live:"yes" doc:"Longest session on the submission ports."`
	SMTPBadCommands       Count    `toml:"smtp_bad_commands" live:"yes" doc:"Bad commands on a connection before it ends."`
	SMTPBadBeforeLogin    Count    `toml:"smtp_bad_commands_before_login" live:"yes" doc:"The same on the submission ports before login."`
	SMTPBadRecipients     Count    `toml:"smtp_bad_recipients" live:"yes" doc:"Refused recipients on a connection before it ends." why:"Who tries a list of names learns little."`
	SMTPFailedLogins      Count    `toml:"smtp_failed_logins" live:"yes" doc:"Failed logins on one connection."`
	SMTPLoginPause        Duration `toml:"smtp_login_pause" live:"yes" doc:"Pause after a failed login, doubled by each further one."`
	SMTPLoginTime         Duration `toml:"smtp_login_time" live:"yes" doc:"Time to log in on the submission ports."`
	SMTPCommandTime       Duration `toml:"smtp_command_time" live:"yes" doc:"Time to wait for a command (RFC 5321 §4.5.3.2.7)."`
	SMTPDataTime          Duration `toml:"smtp_data_time" live:"yes" doc:"Time to wait for more of a message (RFC 5321 §4.5.3.2.5)."`
	SMTPStallTime         Duration `toml:"smtp_stall_time" live:"yes" doc:"Time for which a client may not read replies."`
	SMTPDataRate          Size     `toml:"smtp_data_rate" live:"yes" doc:"Bytes a second that a message must come with after its first minute." why:"Slower is an attack, or a line on which nothing arrives anyway."`
	SMTPPerAddress        Count    `toml:"smtp_connections_per_address" live:"yes" doc:"Connections of one address (IPv6: /64) at once."`
	SMTPRate              Count    `toml:"smtp_connections_per_minute" live:"yes" doc:"New connections of one address in a minute."`
	SMTPGreetingPause     Duration `toml:"smtp_greeting_pause" live:"yes" doc:"How long a server that brings mail for the first time in a day waits for the greeting on the MX ports. Addresses of private networks do not wait." why:"Who speaks before it is greeted is no mail server, and its mail goes to junk."`
	SMTPPaused            Count    `toml:"smtp_paused" live:"yes" doc:"Connections that may wait at a time because of smtp.pause_suspects; more are served at once." why:"A crowd that is made to wait must not take the place of others."`
	Hops                  Count    `toml:"hops" live:"yes" doc:"Received fields of a message; more is taken for a loop." why:"RFC 5321 §6.3 asks for room; no honest way is longer."`
	AccountMessages       Count    `toml:"account_messages_per_day" live:"yes" doc:"Messages that one account sends to others in a day. What is more is kept in the queue, and owner and administrator are told." why:"Who steals a password sends as fast as he may; no person writes that much."`
	AccountNewRecipients  Count    `toml:"account_new_recipients_per_day" live:"yes" doc:"The same for addresses elsewhere that the account never wrote to before." why:"Spammers write to strangers, people mostly to those they know."`
	OutboundPerDomain     Count    `toml:"outbound_per_domain" live:"yes" doc:"Connections to the servers of one domain at once."`
	OutboundPerConnection Count    `toml:"outbound_per_connection" live:"yes" doc:"Messages on one outgoing connection."`
	OutboundActive        Count    `toml:"outbound_active" live:"yes" doc:"Delivery attempts at a time, to all servers together."`
	QueueMessages         Count    `toml:"queue_messages" live:"yes" doc:"Messages that may wait in the queue before submission is refused for the time being."`
	QueueBytes            Size     `toml:"queue_bytes" live:"yes" doc:"Bytes of all of them."`
	Suppressed            Count    `toml:"suppressed_addresses" live:"yes" doc:"Addresses that accounts do not write to, of all domains together (queue.suppress); what comes after that is not noted." why:"They are kept in memory."`

	IMAPLineBeforeLogin    Size     `toml:"imap_line_before_login" live:"yes" doc:"Longest command line before login." why:"What a stranger sends costs at most 64 kB."`
	IMAPLiteralBeforeLogin Size     `toml:"imap_literal_before_login" live:"yes" doc:"Largest literal before login; twice that in a command." why:"A name and a password fit many times."`
	IMAPLine               Size     `toml:"imap_line" live:"yes" doc:"Longest command line after login; longer ones are answered with BAD." why:"Sets of message numbers of large mailboxes take tens of kB."`
	IMAPFlood              Size     `toml:"imap_flood" live:"yes" doc:"A line longer than this ends the connection."`
	IMAPLiteral            Size     `toml:"imap_literal" live:"yes" doc:"Largest literal that is not a message."`
	IMAPLiterals           Size     `toml:"imap_literals" live:"yes" doc:"All of them in one command."`
	IMAPAppendMessages     Count    `toml:"imap_append_messages" live:"yes" doc:"Messages in one APPEND (RFC 3502)."`
	IMAPNesting            Count    `toml:"imap_nesting" live:"yes" doc:"Depth of parentheses and NOT in a command; never over 1,000." why:"Nobody writes such queries by hand and no program goes past ten."`
	IMAPFetchItems         Count    `toml:"imap_fetch_items" live:"yes" doc:"Items of one FETCH." why:"A short command must not ask for the same bytes a thousand times."`
	IMAPHeaderNames        Count    `toml:"imap_header_names" live:"yes" doc:"Names in one HEADER.FIELDS."`
	IMAPSearchKeys         Count    `toml:"imap_search_keys" live:"yes" doc:"Keys of one SEARCH."`
	IMAPListPatterns       Count    `toml:"imap_list_patterns" live:"yes" doc:"Patterns of one LIST."`
	IMAPMessages           Count    `toml:"imap_messages" doc:"Messages that one command takes, the newest ones; announced as MESSAGELIMIT (RFC 9738). Not under 1,000." why:"A program that does not know this extension takes the messages that are left out for deleted."`
	IMAPPattern            Size     `toml:"imap_pattern" live:"yes" doc:"Length of each of them."`
	IMAPBadCommands        Count    `toml:"imap_bad_commands" live:"yes" doc:"Bad commands in a row after login before the connection ends." why:"A program that does not speak IMAP never will."`
	IMAPBadBeforeLogin     Count    `toml:"imap_bad_commands_before_login" live:"yes" doc:"The same before login."`
	IMAPFailedLogins       Count    `toml:"imap_failed_logins" live:"yes" doc:"Failed logins on one connection."`
	IMAPLoginPause         Duration `toml:"imap_login_pause" live:"yes" doc:"Pause after a failed login, doubled by each further one." why:"Makes guessing slow without locking anybody out."`
	IMAPLoginTime          Duration `toml:"imap_login_time" live:"yes" doc:"Time to log in." why:"A connection without an owner should not stay."`
	IMAPIdleTime           Duration `toml:"imap_idle_time" live:"yes" doc:"Time without a command, also in IDLE." why:"RFC 9051 §5.4 asks for 30 minutes at least."`
	IMAPStallTime          Duration `toml:"imap_stall_time" live:"yes" doc:"Time for which a client may not read what it asked for."`
	IMAPProgressTime       Duration `toml:"imap_progress_time" live:"yes" doc:"Time between words about how far a long command is (RFC 9585)."`
	IMAPPerAddress         Count    `toml:"imap_connections_per_address" live:"yes" doc:"Connections of one address that have not logged in." why:"One address cannot take all; an office behind one address can work."`
	IMAPRate               Count    `toml:"imap_connections_per_minute" live:"yes" doc:"New connections of one address in a minute. Loopback is exempt."`
	IMAPPerUser            Count    `toml:"imap_connections_per_user" live:"yes" doc:"Connections of one account from one address." why:"Programs open one for each mailbox they watch, times devices."`

	MailboxName    Size     `toml:"mailbox_name" doc:"Bytes of one level of a mailbox name."`
	MailboxPath    Size     `toml:"mailbox_path" doc:"Bytes of a whole mailbox name."`
	MailboxDepth   Count    `toml:"mailbox_depth" doc:"Levels of a mailbox name."`
	Quota          Size     `toml:"quota" doc:"Most bytes of mail of a new account, unless it is given another quota." why:"One person's archive must not fill the disk of all; posthouse account set --quota gives more."`
	Mailboxes      Count    `toml:"mailboxes" doc:"Mailboxes of an account."`
	Keywords       Count    `toml:"keywords" doc:"Different keywords of an account."`
	ReapAfter      Duration `toml:"reap_after" doc:"How long mail can be put back after it was deleted for good (posthouse account undelete); then its bytes go. Until then it needs disk, but counts for no quota." why:"Who deletes the wrong mailbox notices within a month. 0: it goes within minutes, and a session that was not told yet may find it gone."`
	KeywordBytes   Size     `toml:"keyword_bytes" doc:"Bytes of a keyword."`
	Annotations    Count    `toml:"annotations" doc:"Annotations of a mailbox (RFC 5464), private and shared ones each."`
	AnnotationSize Size     `toml:"annotation_size" doc:"Bytes of one of them; they count for the quota." why:"Programs keep settings and small signatures there, not files."`
	MIMEDepth      Count    `toml:"mime_depth" doc:"Nested parts of a message that are told apart; deeper ones are text. Never over 10,000." why:"2 MB of nested parts made other servers take gigabytes."`
	MIMEParts      Count    `toml:"mime_parts" doc:"Parts of a message that are told apart."`
	HeaderBytes    Size     `toml:"header_bytes" doc:"Bytes of a header section that are interpreted; the rest is kept and not looked at."`
	HeaderLines    Count    `toml:"header_lines" doc:"Lines of a header section that are interpreted."`
	HeaderField    Size     `toml:"header_field" doc:"Bytes of one header field that go into the index."`
	HeaderAddress  Count    `toml:"header_addresses" doc:"Addresses kept of one header field."`
	MIMEParameters Count    `toml:"mime_parameters" doc:"Parameters of one Content-Type or Content-Disposition (RFC 2231)."`

	HTTPHeader      Size     `toml:"http_header" doc:"Bytes of the header of an HTTP request."`
	HTTPHeaderTime  Duration `toml:"http_header_time" doc:"Time in which it must arrive." why:"A client that sends one byte a second holds a connection for ever otherwise."`
	HTTPConnections Count    `toml:"http_connections" doc:"HTTP connections at a time; more wait." why:"A monitor and a few people need ten."`
	HTTPRate        Count    `toml:"http_requests_per_minute" doc:"HTTP requests of one address (IPv6: /64) in a minute. Loopback is exempt."`
	HTTPIdleTime    Duration `toml:"http_idle_time" doc:"Time for which an idle HTTP connection is kept."`
	HTTPBodyRate    Count    `toml:"http_body_rate" doc:"Bytes a second that a client must send of a request, after half a minute."`

	JMAPRequest       Size     `toml:"jmap_request" doc:"Bytes of a JMAP request."`
	JMAPCalls         Count    `toml:"jmap_calls" doc:"Method calls of one request."`
	JMAPGet           Count    `toml:"jmap_get" doc:"Objects that one method returns."`
	JMAPSet           Count    `toml:"jmap_set" doc:"Objects that one method changes; it is one transaction."`
	JMAPConcurrent    Count    `toml:"jmap_concurrent" doc:"Requests of one user at a time."`
	JMAPRate          Count    `toml:"jmap_requests_per_minute" doc:"Requests of one user in a minute."`
	JMAPUploads       Count    `toml:"jmap_uploads" doc:"Uploads of one user at a time; each may be as large as a message."`
	JMAPUnused        Size     `toml:"jmap_unused_uploads" doc:"Bytes of uploads of one account that are kept for messages to come."`
	JMAPUnusedTime    Duration `toml:"jmap_unused_time" doc:"How long an upload is kept."`
	JMAPDepth         Count    `toml:"jmap_depth" doc:"Nested arrays and objects of a request."`
	JMAPFilterDepth   Count    `toml:"jmap_filter_depth" doc:"Nested operators of a filter."`
	JMAPConditions    Count    `toml:"jmap_conditions" doc:"Operators and conditions of a filter."`
	JMAPSortKeys      Count    `toml:"jmap_sort_keys" doc:"Criteria of a sort."`
	JMAPStreams       Count    `toml:"jmap_streams" doc:"Event streams and WebSockets of one user." why:"A browser opens one for each tab."`
	JMAPSubscriptions Count    `toml:"jmap_subscriptions" doc:"Push subscriptions of one user."`
	JMAPIndex         Size     `toml:"jmap_index" doc:"Memory for what is kept of accounts that are in use over JMAP: about 5 MB for 100,000 messages." why:"Without, each look at a large mailbox would read it again."`
	WebSession        Duration `toml:"web_session" doc:"How long a browser stays logged in without being used; never more than 90 days."`
	DelayedSend       Duration `toml:"delayed_send" doc:"How far ahead a message may be scheduled."`
}

func defaultLimits() Limits {
	const kB, MB, GB = 1 << 10, 1 << 20, 1 << 30
	return Limits{
		Message: 50 * MB, FreeDisk: 100 * MB, FreeDiskPercent: 5, Memory: Off, HashMemory: 64 * MB, Descriptors: 65536,
		FailedPerMin: 10, FailedPerDay: 100, FailedPerUser: 10,

		SMTPCommandLine: 2 * kB, SMTPAuthLine: 12 * kB, SMTPDataLine: MB, SMTPRecipients: 1000, SMTPMessages: 100,
		SMTPSession: Duration(10 * time.Minute), SMTPSessionBytes: 250 * MB, SubmissionSession: Duration(time.Hour),
		SMTPBadCommands: 20, SMTPBadBeforeLogin: 3, SMTPBadRecipients: 100, SMTPFailedLogins: 3,
		SMTPLoginPause: Duration(time.Second), SMTPLoginTime: Duration(time.Minute),
		SMTPCommandTime: Duration(5 * time.Minute), SMTPDataTime: Duration(3 * time.Minute),
		SMTPStallTime: Duration(5 * time.Minute), SMTPDataRate: 500, SMTPPerAddress: 50, SMTPRate: 300, SMTPGreetingPause: Duration(time.Second), SMTPPaused: 1000,
		Hops: 50, AccountMessages: 1000, AccountNewRecipients: 200, OutboundPerDomain: 20, OutboundPerConnection: 100, OutboundActive: 200, QueueMessages: 100000, QueueBytes: 10 * GB, Suppressed: 20_000,

		IMAPLineBeforeLogin: 8 * kB, IMAPLiteralBeforeLogin: 4 * kB, IMAPLine: 64 * kB, IMAPFlood: MB,
		IMAPLiteral: 128 * kB, IMAPLiterals: MB, IMAPAppendMessages: 1000, IMAPNesting: 100,
		IMAPFetchItems: 100, IMAPHeaderNames: 200, IMAPSearchKeys: 1000, IMAPListPatterns: 100, IMAPMessages: Off, IMAPPattern: kB,
		IMAPBadCommands: 20, IMAPBadBeforeLogin: 3, IMAPFailedLogins: 3, IMAPLoginPause: Duration(time.Second),
		IMAPLoginTime: Duration(time.Minute), IMAPIdleTime: Duration(30 * time.Minute),
		IMAPStallTime: Duration(5 * time.Minute), IMAPProgressTime: Duration(10 * time.Second), IMAPPerAddress: 50, IMAPRate: 300, IMAPPerUser: 50,

		MailboxName: 255, MailboxPath: 1000, MailboxDepth: 20, Quota: 2 * GB, Mailboxes: 5000, Keywords: 255, ReapAfter: Duration(30 * day), KeywordBytes: 100, Annotations: 100, AnnotationSize: 64 * kB,
		MIMEDepth: 100, MIMEParts: 10000, HeaderBytes: MB, HeaderLines: 10000, HeaderField: 256 * kB,
		HeaderAddress: 1000, MIMEParameters: 128,

		HTTPHeader: 64 * kB, HTTPConnections: 500, HTTPRate: 100, HTTPHeaderTime: Duration(10 * time.Second), HTTPIdleTime: Duration(2 * time.Minute), HTTPBodyRate: 1000,

		JMAPRequest: 10 * MB, JMAPCalls: 32, JMAPGet: 1000, JMAPSet: 500, JMAPConcurrent: 8, JMAPRate: 1000, JMAPUploads: 4, JMAPUnused: 200 * MB,
		JMAPUnusedTime: Duration(day), JMAPDepth: 64, JMAPFilterDepth: 16, JMAPConditions: 256, JMAPSortKeys: 16, JMAPStreams: 10,
		JMAPSubscriptions: 20, JMAPIndex: 64 * MB, WebSession: Duration(14 * day), DelayedSend: Duration(365 * day),
	}
}
