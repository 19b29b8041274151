// Package config is the start-up file: one struct per section with defaults,
// documentation and checks. Nothing that lives in the store (people, domains,
// aliases) is in it.
//
// The structs are the one table: from their tags come the keys that are allowed,
// the annotated default file, what `config explain` says and the checks. A file
// is read strictly: an unknown key or a wrong value is an error that names line,
// key, what is allowed and the nearest right key. Each key that is there works.
//
// Tags of a field: toml is its key, doc what it means, why the reason of its
// default, values what is allowed, live:"yes" that a reload (SIGHUP) applies it,
// off:"no" that a limit cannot be switched off.
package config

import "time"

// A Config is the whole file.
type Config struct {
	Hostname            string `toml:"hostname" doc:"The name of this server: in greetings, in Received lines, in the EHLO of outgoing mail. Should resolve to this machine and back. Empty: the name that the system gives."`
	Data                string `toml:"data" doc:"The directory of the store. One running server owns it."`
	AllowPlaintextLogin bool   `toml:"allow_plaintext_login" doc:"Accept passwords on connections without TLS. For test rigs on loopback only; the server warns at start." why:"Anybody between the client and the server could read the password."`

	TLS     TLS     `toml:"tls"`
	Listen  Listen  `toml:"listen"`
	Login   Login   `toml:"login"`
	OAuth   OAuth   `toml:"oauth"`
	SMTP    SMTP    `toml:"smtp"`
	IMAP    IMAP    `toml:"imap"`
	Queue   Queue   `toml:"queue"`
	DKIM    DKIM    `toml:"dkim"`
	Trace   Trace   `toml:"trace"`
	Reports Reports `toml:"reports"`
	DNS     DNS     `toml:"dns"`
	Log     Log     `toml:"log"`
	Run     Run     `toml:"run"`
	Store   Store   `toml:"store"`
	Backup  Backup  `toml:"backup"`
	S3      S3      `toml:"s3"`
	Limits  Limits  `toml:"limits"`
}

// TLS is the section [tls].
type TLS struct {
	Cert string   `toml:"cert" live:"yes" doc:"File with the certificate and its chain, PEM. Empty: a self-signed certificate is made at each start, which clients will warn about."`
	Key  string   `toml:"key" live:"yes" doc:"File with the private key, PEM. Read before privileges are dropped and again at a reload: the run user must be able to read it for that."`
	ALPN []string `toml:"alpn" doc:"What mail programs get on the https ports beside HTTP, if they ask for it by its name (ALPN imap, submission or smtp): from networks that let nothing else out." values:"list of imap, submission"`
}

// Login is the section [login]: how people may log in beside a password over TLS.
type Login struct {
	SCRAM           bool   `toml:"scram" doc:"Offer SCRAM-SHA-256 and SCRAM-SHA-1, also bound to the TLS connection (-PLUS): the password itself is never sent. Off also removes what was kept for it." why:"Nobody in between learns a password, and a client with -PLUS notices that somebody is in between. What the server keeps for it is cheaper to try passwords on than the password hash, if the store is stolen: see decision 0130."`
	SCRAMIterations Count  `toml:"scram_iterations" off:"no" doc:"Work of one try at a stolen SCRAM secret, and of each login in the client: PBKDF2 iterations for SHA-256, twice as many for SHA-1. Applies to passwords as they are set or used next." values:"4096 to 5000000" why:"Programs that use Cyrus SASL (mbsync, mutt and others) refuse to compute more than 65536."`
	Certificates    bool   `toml:"client_certificates" doc:"Let people log in with TLS client certificates (EXTERNAL): those of client_ca, and those whose key an account has (posthouse account add-key)." why:"Some mail programs ask their user which certificate to show as soon as a server would take one."`
	CA              string `toml:"client_ca" doc:"File with the certificates, PEM, of who issues client certificates; the e-mail addresses in a certificate are the accounts it logs in to. Empty: only keys that accounts have."`
}

// OAuth is the section [oauth]: who gives out the tokens of OAUTHBEARER and XOAUTH2.
type OAuth struct {
	Issuer        string `toml:"issuer" doc:"Who gives tokens out: the iss of a JWT, and where mail programs find out how to get one. Empty: nobody logs in with a token." values:"https:// and the rest of a URL"`
	Audience      string `toml:"audience" doc:"What must stand in aud of a token: it was given out for us. Needed with an issuer."`
	Keys          string `toml:"keys" doc:"Where the issuer's public keys are (JWKS, RFC 7517). Tokens are JWTs then." values:"https:// and the rest of a URL"`
	Introspection string `toml:"introspection" doc:"Where to ask about each token (RFC 7662), instead of keys." values:"https:// and the rest of a URL"`
	ClientID      string `toml:"client_id" doc:"Our name at the introspection endpoint."`
	SecretFile    string `toml:"client_secret_file" doc:"File whose first line is our password there. Read at start, before privileges are dropped."`
	Claim         string `toml:"claim" doc:"The claim that holds the address of the account."`
	Private       bool   `toml:"allow_private" doc:"Ask these servers also at loopback and private addresses, and without TLS." why:"A name that somebody else controls should not make the server talk to the machines beside it."`
}

// Listen is the section [listen]: the addresses of each face.
type Listen struct {
	MX          []string `toml:"mx" doc:"Where other servers bring mail." values:"list of host:port; an empty host is every address, port 0 a free one"`
	Submission  []string `toml:"submission" doc:"Where people's programs send mail, with STARTTLS (RFC 6409)." values:"list of host:port"`
	Submissions []string `toml:"submissions" doc:"The same with TLS from the first byte (RFC 8314)." values:"list of host:port"`
	LMTP        []string `toml:"lmtp" doc:"Where a local MTA hands in mail for accounts here. Whoever can connect may deliver: use a socket." values:"list of paths of unix sockets, or host:port"`
	IMAP        []string `toml:"imap" doc:"Where people's programs read mail, with STARTTLS." values:"list of host:port"`
	IMAPS       []string `toml:"imaps" doc:"The same with TLS from the first byte (RFC 8314)." values:"list of host:port"`
	HTTP        []string `toml:"http" doc:"Status page, /healthz, /metrics and JMAP, without TLS. A proxy that does TLS may connect here from this machine." values:"list of host:port" why:"Figures about a server are not for strangers: loopback only."`
	HTTPS       []string `toml:"https" doc:"JMAP and the web client, over TLS." values:"list of host:port"`
}

// SMTP is the section [smtp].
type SMTP struct {
	OverQuota         string            `toml:"over_quota" live:"yes" doc:"What other servers are told when a mailbox is full: defer lets them try again until there is room, refuse sends the mail back at once." values:"defer, refuse"`
	SenderChecks      string            `toml:"sender_checks" live:"yes" doc:"What SPF, DKIM, DMARC and ARC decide about mail from other servers: enforce refuses, or files as junk, what the author's domain disowns; mark only writes what they say into the message; off asks nothing." values:"enforce, mark, off" why:"Whoever forges a bank's address should not get through, and the bank's domain says so."`
	TrustedForwarders []string          `toml:"trusted_forwarders" live:"yes" doc:"Domains that are believed when they seal (ARC) that a message was right before they changed it: your mailing lists and forwarders. A name covers those below it." values:"list of domains"`
	Lists             map[string]string `toml:"lists" live:"yes" doc:"DNS lists of addresses (RFC 5782) to ask about other servers, each with its weight. The weights of the lists that know an address add up: 10 and more is refused, 5 and more goes to junk; a list of good senders has a negative weight. A list that says with its answer why it knows an address can have a weight for each. As in: \"zen.spamhaus.org\" = \"127.0.0.10-127.0.0.11=4, 127.0.0.2=10, 6\", \"list.dnswl.org\" = \"-5\"" values:"zone = weight, -100 to 100; or answer=weight, first-last=weight …, and one for all others" why:"Whom to trust is for you to say, and most lists have terms of use."`
	PauseSuspects     Duration          `toml:"pause_suspects" live:"yes" doc:"How long other servers that show signs of a spammer (a false name, a list that knows them) wait before their message is taken; up to ten times as long if the signs are many. off: not at all." why:"Spammers have no time; whoever is honest loses a few seconds and no mail."`
	XClientHosts      []string          `toml:"xclient_hosts" live:"yes" doc:"Filters and proxies on the SMTP ports that may say for which client they speak, by XCLIENT (as Postfix and nginx do)." values:"list of addresses and networks, as 192.0.2.1 or 10.0.0.0/8"`
	ProxyHosts        []string          `toml:"proxy_hosts" live:"yes" doc:"Proxies that say so in front of each connection, by the PROXY protocol, version 1 or 2 (as HAProxy does). A connection of theirs without it is refused." values:"list of addresses and networks, as 192.0.2.1 or 10.0.0.0/8" why:"Without it all clients seem to come from the proxy, and checks and limits are of no use."`
	ReportAddresses   []string          `toml:"report_addresses" live:"yes" doc:"Where other servers send reports about mail in our name (DMARC, TLS, feedback): they are delivered as any mail, and also read and kept for posthouse report. A name without a domain is in each of ours." values:"list of addresses or local parts"`
	Hooks             []string          `toml:"hooks" live:"yes" doc:"Programs that are asked about each message before it is taken: \"milter 127.0.0.1:8891\", \"milter /run/opendkim/opendkim.sock\", \"rspamd http://127.0.0.1:11333\", \"clamav /run/clamav/clamd.ctl\". Each may be followed by time=10s, by fail=defer or fail=accept (what holds if it does not answer; default defer) and by for=received or for=submitted (default both). A milter may refuse the message or one of its recipients, put it into quarantine (Junk here; held in the queue if it goes elsewhere), and change sender, recipients, fields and body; what changes the message breaks the signatures that it came with." values:"list of program address [time=…] [fail=…] [for=…]"`
	LMTPMode          string            `toml:"lmtp_socket_mode" doc:"Permissions of the LMTP sockets, octal." values:"0600 to 0777"`
}

// IMAP is the section [imap].
type IMAP struct {
	Withhold       []string          `toml:"withhold" doc:"Extensions that are neither announced nor served, for clients that stumble over one." values:"list of capabilities, as [\"QRESYNC\"]"`
	WithholdFrom   map[string]string `toml:"withhold_from" doc:"The same for certain clients, by the name that they tell with ID (RFC 2971), or its beginning, and after a slash the beginning of their version. Goes before what is built in: an empty list gives a client everything. As in: \"Microsoft Office 365\" = \"UIDONLY\", \"iPhone Mail/15\" = \"QRESYNC NOTIFY\"" values:"client = capabilities with spaces between them"`
	SharedAccounts []string          `toml:"shared_accounts" doc:"Accounts that are there for all, as info@example.org: the mailboxes that they share stand under \"Shared Folders\", those of people under \"Other Users\"." values:"list of addresses"`
	ServerID       bool              `toml:"server_id" doc:"Tell name and version of the server to clients that ask with ID (RFC 2971)."`
}

// Queue is the section [queue]: mail that waits for another server.
type Queue struct {
	Retry                 []Duration        `toml:"retry" live:"yes" doc:"Waiting time after each failed attempt; the last one repeats. A random tenth is added or taken." values:"list of times"`
	Expire                Duration          `toml:"expire" live:"yes" doc:"Mail that could not be delivered for this long goes back to its sender." why:"RFC 5321 §4.5.4.1 asks for at least 4 to 5 days: a server that is down over a long weekend loses nothing."`
	Suppress              Duration          `toml:"suppress" live:"yes" doc:"After mail of a domain's accounts to an address came back twice because it does not exist, or its reader complained, they cannot write to it for this long: see posthouse queue suppressed. off: they always can." why:"Who keeps writing to addresses that are not there looks like a spammer, and is treated as one."`
	DelayNotice           Duration          `toml:"delay_notice" live:"yes" doc:"After this long the sender is told that mail still waits."`
	Smarthost             string            `toml:"smarthost" live:"yes" doc:"Server that takes all outgoing mail, instead of the MX of each domain. Empty: none." values:"host:port, or [address]:port"`
	SmarthostTLS          string            `toml:"smarthost_tls" live:"yes" doc:"How to talk to the smarthost: verified needs TLS with a certificate for its name, implicit the same from the first byte (port 465), opportunistic takes what there is, none does without." values:"verified, implicit, opportunistic, none"`
	SmarthostLogin        string            `toml:"smarthost_login" live:"yes" doc:"Name to log in to the smarthost with. Empty: none. Needs smarthost_tls verified or implicit."`
	SmarthostPasswordFile string            `toml:"smarthost_password_file" live:"yes" doc:"File whose first line is the password for it. Read at start, before privileges are dropped, and again at a reload if the run user is able to."`
	Routes                map[string]string `toml:"routes" live:"yes" doc:"Servers that take the mail for certain domains, before smarthost and MX; \"*.example.net\" is all below it. As in: \"example.net\" = \"relay.internal:25\", \"example.com\" = \"smtps://login@relay.example.com:465?password_file=/etc/posthouse/relay\". smtp:// needs TLS with a certificate for the name, smtps:// the same from the first byte, lmtp:// speaks LMTP; without any, TLS is used where it is offered." values:"domain = host:port, smtp://…, smtps://…, lmtp://host:port or lmtp:///path/of/socket"`
	Providers             map[string]string `toml:"providers" live:"yes" doc:"How groups of servers are treated, by the organizational domain of their MX hosts: connections at a time, messages per_connection, transactions per_minute, how long to rest after they first say that it is too much (421, 4.7.0), which doubles up to most_rest. What is not said here holds as for all; the large providers have values that come with the program (posthouse queue providers shows them), which an entry here replaces. As in: \"google.com\" = \"connections=10 per_connection=50 rest=30s\"" values:"domain = connections=… per_connection=… per_minute=… rest=… most_rest=…" why:"A provider that is asked for too much at once defers everything for hours."`
	SourceAddresses       []string          `toml:"source_addresses" live:"yes" doc:"Addresses of this machine to send from: the first of each family is used. Empty: the system chooses." values:"list of addresses" why:"Other servers look at the address: its name, its fame, the SPF record."`
	PrivateAddresses      bool              `toml:"private_addresses" doc:"Send also to MX hosts with addresses that are not of the public internet, as loopback and 10.0.0.0/8. For closed networks and test rigs." why:"A name in a stranger's zone must not lead us into our own network. Smarthost and routes may have any address."`
	TLSPolicies           string            `toml:"tls_policies" doc:"What other domains say about TLS to their servers, with DANE (RFC 7672) and MTA-STS (RFC 8461): follow does what they say, ignore uses TLS where it is offered, whatever the certificate." values:"follow, ignore"`
}

// DKIM is the section [dkim]: the keys that sign mail of domains here.
type DKIM struct {
	Rotate Duration `toml:"rotate" doc:"Age at which the keys that sign a domain's mail get successors. The administrator is told which DNS records to publish; a new key signs once its record has been seen, and until then the old one does. off: only by posthouse domain keys --rotate." why:"Keys leak unnoticed; half a year bounds the damage, and two changes of DNS a year are bearable."`
	Settle Duration `toml:"settle" off:"no" doc:"For how long the record of a new key must have been seen before the key signs." why:"The name servers of a domain do not all change at once."`
}

// Trace is the section [trace]: what is remembered of each message.
type Trace struct {
	Keep   Duration `toml:"keep" doc:"For how long what became of each message is remembered, also of those that were refused: who sent it to whom, when, by which server, and how it was judged, never its contents. See posthouse trace. off: nothing is." values:"a time, or off" why:"Who misses mail asks within days; addresses of others should not be kept for ever."`
	PerDay Size     `toml:"bytes_per_day" doc:"Most that is remembered in a day; what comes after that is not." why:"A flood of refused mail must not fill the disk."`
}

// Reports is the section [reports]: what is told to other domains, once a day, where their
// DNS asks for it.
type Reports struct {
	DMARC        bool   `toml:"dmarc" doc:"Count what DMARC says of the mail in the name of other domains, and send them aggregate reports (RFC 7489)." why:"It is how a domain finds out who sends in its name, and its own mistakes."`
	Failures     bool   `toml:"dmarc_failures" doc:"Tell other domains that ask for it (ruf) of single messages in their name that failed, at most ten a day: where the message came from and a part of its header, without recipients, subject and content." why:"A domain of many people would learn who writes to whom here through lists and forwarders; turn it on if yours may tell."`
	TLS          bool   `toml:"tls" doc:"Count how TLS to the servers of other domains went, and send them reports (RFC 8460)." why:"A domain whose certificate or policy is wrong learns it only so."`
	From         string `toml:"from" doc:"The address that reports come from. Its domain must be one of ours, with DKIM keys. Empty: postmaster at the domain in which the host name lies, or else at the first of ours with keys." values:"an address, or empty"`
	Organization string `toml:"organization" doc:"Who sends them, for people. Empty: the host name."`
}

// DNS is the section [dns].
type DNS struct {
	TrustAD bool     `toml:"trust_ad" doc:"Believe the servers when they say that an answer was validated (DNSSEC, the AD bit), though they are not on this machine. Only where nobody can change answers on the way." why:"DANE stands on it. A resolver on this machine is believed anyway."`
	Servers []string `toml:"servers" doc:"Resolvers to ask. Empty: those of /etc/resolv.conf. A validating resolver on this machine is best." values:"list of address or address:port"`
}

// Log is the section [log].
type Log struct {
	Level  string `toml:"level" live:"yes" doc:"The least important lines that are written." values:"debug, info, warn, error"`
	Format string `toml:"format" doc:"auto writes for people on a terminal and JSON elsewhere." values:"auto, human, json"`
}

// Run is the section [run].
type Run struct {
	User  string `toml:"user" doc:"When started as root: become this user after the ports are bound. Empty: stay."`
	Group string `toml:"group" doc:"And this group. Empty: the user's own."`
}

// Store is the section [store]: the work that the store does by itself.
type Store struct {
	CollectRate Size     `toml:"collect_rate" doc:"Bytes a second that giving space back and looking for damage each read at most. Off: as fast as it goes." why:"People who read mail meanwhile should not notice."`
	ScrubEvery  Duration `toml:"scrub_every" doc:"The time in which every message is read once, to find damage while there still is a copy to mend it from. Off: never."`
	Recycle     bool     `toml:"recycle" doc:"Keep up to two files of the log in which nothing lives and write new mail over them. Off: remove each at once, so that none of its bytes stay in a file." why:"A message that comes alone is on the disk sooner. Neither erases: who must, encrypts the disk."`
}

// Backup is the section [backup].
type Backup struct {
	Standby string   `toml:"standby" doc:"A data directory, on another disk or machine, that becomes and stays a copy of this one: each commit is written there too. See backup.md of the manual. Empty: none." values:"the path of a directory, or s3://bucket/path"`
	Wait    bool     `toml:"wait" doc:"Acknowledge nothing before the standby has it. While it cannot be reached, mail is refused for the time being." why:"Without, a disk that dies takes along what the standby did not have yet: usually milliseconds."`
	Keep    Duration `toml:"keep" doc:"How long the standby keeps what was deleted here, so that posthouse restore --at can go to any moment since a backup that is not older. Off: not at all." why:"Needs space on the standby: what is deleted in that time."`
	Repair  []string `toml:"repair" doc:"Directories with backups (posthouse backup create) from which damaged messages are mended, as they are from the standby." values:"list of paths, or of s3://bucket/path"`
}

// S3 is the section [s3]: the object store for backups and standbys named s3://bucket/path.
type S3 struct {
	Endpoint   string `toml:"endpoint" doc:"Where the object store answers." values:"an https URL, as https://s3.eu-central-1.amazonaws.com"`
	Region     string `toml:"region" doc:"Its region, a part of each signature."`
	Hosted     bool   `toml:"hosted" doc:"The bucket's name is a part of the host's name (bucket.endpoint), not of the path." why:"Every store knows paths, but for a few that want this."`
	CA         string `toml:"ca" doc:"File with the certificates (PEM) that vouch for the endpoint. Empty: those of the system."`
	Key        string `toml:"key" doc:"The access key's id."`
	SecretFile string `toml:"secret_file" doc:"File with the secret that belongs to it. Read when it is needed: the run user must be able to. Empty: it is in the environment variable POSTHOUSE_S3_SECRET." why:"Secrets do not belong into a file that people show each other."`
}

// Default returns the configuration that an empty file means.
func Default() Config {
	return Config{
		Data: "/var/lib/posthouse",
		Listen: Listen{
			MX: []string{":25"}, Submission: []string{":587"}, Submissions: []string{":465"}, LMTP: []string{},
			IMAP: []string{":143"}, IMAPS: []string{":993"}, HTTP: []string{"127.0.0.1:8080"}, HTTPS: []string{":443"},
		},
		TLS:   TLS{ALPN: []string{"imap", "submission"}},
		Login: Login{SCRAM: true, SCRAMIterations: 32768},
		OAuth: OAuth{Claim: "email"},
		SMTP:  defaultSMTP(),
		IMAP:  IMAP{Withhold: []string{}, WithholdFrom: map[string]string{}, SharedAccounts: []string{}, ServerID: true},
		Queue: Queue{
			Retry:  durations(5*time.Minute, 10*time.Minute, 20*time.Minute, 40*time.Minute, time.Hour, 2*time.Hour, 4*time.Hour),
			Expire: Duration(5 * day), DelayNotice: Duration(4 * time.Hour), Suppress: Duration(30 * day),
			SmarthostTLS: "opportunistic", Routes: map[string]string{}, Providers: map[string]string{}, SourceAddresses: []string{}, TLSPolicies: "follow",
		},
		DKIM:    DKIM{Rotate: Duration(180 * day), Settle: Duration(time.Hour)},
		Trace:   Trace{Keep: Duration(30 * day), PerDay: 1 << 30},
		Reports: Reports{DMARC: true, TLS: true},
		DNS:     DNS{Servers: []string{}},
		Store:   Store{CollectRate: 32 << 20, ScrubEvery: Duration(7 * day), Recycle: true},
		Backup:  Backup{Keep: Off, Repair: []string{}},
		S3:      S3{Region: "us-east-1"},
		Log:     Log{Level: "info", Format: "auto"},
		Run:     Run{User: "", Group: ""},
		Limits:  defaultLimits(),
	}
}

func defaultSMTP() SMTP {
	return SMTP{
		OverQuota: "defer", SenderChecks: "enforce", TrustedForwarders: []string{}, Lists: map[string]string{},
		PauseSuspects: Duration(3 * time.Second), XClientHosts: []string{}, ProxyHosts: []string{}, Hooks: []string{}, ReportAddresses: []string{"postmaster", "dmarc-reports", "tls-reports", "abuse"}, LMTPMode: "0660",
	}
}

func durations(ds ...time.Duration) []Duration {
	list := make([]Duration, len(ds))
	for i, d := range ds {
		list[i] = Duration(d)
	}
	return list
}
