package corpus

import (
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// languages are messages in many scripts and charsets: in UTF-8 as we write it,
// and as others do, with the bytes of their charset.
func (g *generator) languages() {
	g.deliver(letter{from: "نور حداد <noor@haddad.example>", to: adaName, subject: "موعد الاجتماع القادم", at: g.ago(29),
		body: text("مرحبا آدا،\n\nهل يناسبك الاجتماع يوم الخميس الساعة الثالثة؟\n\nنور\n")}, "INBOX")
	g.deliver(letter{from: "דנה לוי <dana@levi.example>", to: benName, subject: "Re: פגישה ביום שלישי (room 4)", at: g.ago(39),
		body: message.Text("html", `<div dir="rtl"><p>שלום בן,</p><p>הפגישה תתקיים ב-<b>Room 4</b> בשעה 10:30.</p></div>`)}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: "Δήμητρα Παππά <dimitra@pappa.example>", to: adaName, subject: "Καλημέρα από την Αθήνα", at: g.ago(49),
		body: text("Καλημέρα Άντα,\n\nστέλνω τις φωτογραφίες αύριο.\n\nΔήμητρα\n")}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: "สมชาย ใจดี <somchai@jaidee.example>", to: adaName, subject: "สวัสดีจากกรุงเทพ", at: g.ago(59),
		body: text("สวัสดีครับ\n\nอากาศร้อนมากวันนี้\n\nสมชาย\n")}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: "अनीता शर्मा <anita@sharma.example>", to: benName, subject: "बैठक का समय", at: g.ago(69),
		body: text("नमस्ते बेन,\n\nक्या गुरुवार ठीक रहेगा?\n\nअनीता\n")}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: grace, to: adaName + ", " + benName, subject: "🎉🎂 Happy birthday, 👩🏽‍💻 & 👨🏿‍🌾! 🇵🇹", at: g.ago(79),
		body: text("🎈🎈🎈\n\nFamily: 👨‍👩‍👧‍👦, flags: 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇯🇵, combining: é ñ ﷽\n")}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: priya, to: adaName, at: g.ago(89), subject: "A very long subject: " +
		strings.Repeat("when the quarterly numbers of the northern offices are in, ", 12) + "we should talk – ganz in Ruhe, s’il vous plaît",
		body: text("The subject says it all.\n")}, "INBOX", mail.FlagSeen)
	for _, m := range foreign {
		g.charset(m)
	}
	g.flowed()
}

// A foreignLetter is a message in a charset of its own. Texts are bytes of it.
type foreignLetter struct {
	from, subject, to     string
	charset, cte, content string
	hours                 float64
}

var foreign = []foreignLetter{
	{from: "=?iso-2022-jp?B?GyRCRURDZhsoQg==?= <mei@tanaka.example>", subject: "=?iso-2022-jp?B?GyRCMnE1RCROO3FOQRsoQg==?=", to: Ada,
		charset: "iso-2022-jp", cte: "7bit", hours: 100,
		content: "\x1b$BMh=5$N2q5D$N;qNA$r$*Aw$j$7$^$9!#$43NG'$/$@$5$$!#\x1b(B\r\n\r\n\x1b$BEDCf\x1b(B\r\n"},
	{from: "=?gb2312?B?wO7OsA==?= <wei@li.example>", subject: "=?gb2312?B?us/NrA==?= final", to: Ben, charset: "gb2312", cte: "8bit", hours: 104,
		content: "\xc4\xe3\xba\xc3,\r\n\r\n\xb8\xbd\xbc\xfe\xca\xc7\xba\xcf\xcd\xac\xb5\xc4\xd7\xee\xd6\xd5\xb0\xe6\xb1\xbe,\xc7\xeb\xb2\xe9\xca\xd5\xa1\xa3\r\n\r\n\xc0\xee\xce\xb0\r\n"},
	{from: "=?euc-kr?B?seq5zrz2?= <minsu@kim.example>", subject: "=?euc-kr?B?wM/BpA==?=", to: Ada, charset: "ks_c_5601-1987", cte: "8bit", hours: 108,
		content: "\xbe\xc8\xb3\xe7\xc7\xcf\xbc\xbc\xbf\xe4,\r\n\r\n\xb4\xd9\xc0\xbd \xc1\xd6 \xc0\xcf\xc1\xa4\xc0\xbb \xba\xb8\xb3\xbb \xb5\xe5\xb8\xb3\xb4\xcf\xb4\xd9.\r\n"},
	{from: "=?koi8-r?B?6cfP0tg=?= <igor@petrov.example>", subject: "=?koi8-r?B?79Teo9Q=?= =?koi8-r?B?IM7P0cLS2A==?=", to: Ada, charset: "koi8-r", cte: "quoted-printable", hours: 112,
		content: "=F0=D2=C9=D7=C5=D4, =E1=C4=C1!\r\n\r\n=F0=CF=D3=D9=CC=C1=C0 =CF=D4=DE=A3=D4 =DA=C1 =CE=CF=D1=C2=D2=D8.\r\n"},
	{from: "kasse@handel.example", subject: "=?windows-1252?Q?Gr=FC=DFe_=96_20_=80?=", to: Ben, charset: "windows-1252", cte: "8bit", hours: 116,
		content: "Gr\xfc\xdfe aus K\xf6ln, 20 \x80 f\xfcr \x84Kaffee\x93\r\n"},
	{from: "=?iso-8859-2?Q?Vojt=ECch?= <v@novak.example>", subject: "=?iso-8859-2?Q?Cen=EDk_slu=BEeb?=", to: Ben, charset: "iso-8859-2", cte: "8bit", hours: 120,
		content: "Cen\xedk slu\xbeeb, p\xf8\xed\xb9t\xed sch\xf9zka.\r\n"},
	{from: "old@gateway.example", subject: "UTF-7 lives", to: Ada, charset: "utf-7", cte: "7bit", hours: 124, content: "Hi M+APY-m +ZeVnLA-\r\n"},
	{from: "raw@latin.example", subject: "D\xe9j\xe0 vu, nothing declared", to: Ada, charset: "", cte: "", hours: 128, content: "D\xe9j\xe0 vu \xe0 Besan\xe7on\r\n"},
	{from: "Jürgen Groß <jg@gross.example>", subject: "Rohes UTF-8 in der Kopfzeile – ohne Kodierung", to: Ada, charset: "utf-8", cte: "8bit", hours: 132, content: "Wie RFC 6532 es erlaubt: äöü.\r\n"},
	{from: "nobody@unknown.example", subject: "=?x-martian?Q?Zorp=FFf?=", to: Ben, charset: "x-martian", cte: "x-zorp", hours: 136, content: "Zorp.\r\n"},
}

func (g *generator) charset(m foreignLetter) {
	at := g.ago(m.hours)
	h := "From: " + m.from + "\r\nTo: " + m.to + "\r\nSubject: " + m.subject + "\r\nDate: " + at.Format("Mon, 02 Jan 2006 15:04:05 -0700") +
		"\r\nMessage-Id: " + g.id("mail.example") + "\r\n"
	if m.charset != "" {
		h += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"" + m.charset + "\"\r\nContent-Transfer-Encoding: " + m.cte + "\r\n"
	}
	g.add(m.to, "INBOX", at, []byte(h+"\r\n"+m.content), mail.FlagSeen)
}

// flowed is format=flowed with quotes and space-stuffing, RFC 3676 §4.
func (g *generator) flowed() {
	body := "This paragraph is one line to its reader, but it was broken by its \r\nwriter's mailer, with a space at the end of each line but the \r\nlast.\r\n\r\n" +
		"> A quoted paragraph \r\n> that flows as well.\r\n>> and one quoted twice\r\n\r\n From is stuffed, and\r\n > is no quote.\r\n\r\n-- \r\nAoife\r\n"
	g.deliver(letter{from: aoife, to: adaName, subject: "flowing", at: g.ago(144),
		body: message.Raw("text/plain; charset=us-ascii; format=flowed; delsp=no", "7bit", []byte(body))}, "INBOX", mail.FlagSeen)
}
