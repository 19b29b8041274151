package corpus

import (
	"fmt"
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// newsletters are the bulk mail: pictures on other hosts, pixels that count
// readers, links that lead elsewhere, and the fields that end them.
func (g *generator) newsletters() {
	for i := range 6 {
		g.loaf(i)
	}
	g.statement()
	g.phishing()
	g.spam()
	for i, s := range []string{"Your order has shipped", "How was your order?", "20 % off everything warm"} {
		g.shop(i, s)
	}
	g.oneClick()
}

const loafStyle = `<style>body{margin:0;background:#f4f4f4;font-family:Georgia,serif}.c{max-width:600px;margin:auto;` +
	`background:#fff}.h{background:#14213d;color:#fff;padding:24px}</style>`

// loaf is a newsletter with a web font of styles, a picture and a pixel.
func (g *generator) loaf(i int) {
	issue := 214 - i
	topics := []string{"Sourdough, slowly", "The trouble with rye", "Salt", "A week of brioche", "Ovens we have known", "Crumbs"}
	html := fmt.Sprintf(`<html><head><title>The Weekly Loaf</title>%s</head><body><div style="display:none">Hydration, and why 72 %% is a good place to start.`+
		`&#8204;&nbsp;&#8204;&nbsp;</div><div class=c><div class=h><h1>The Weekly Loaf</h1></div>`+
		`<img src="http://img.weeklyloaf.example/hero-%d.png" width=600 height=200 alt="Fresh bread"><div style="padding:24px;color:#222">`+
		`<h2>%s</h2><p>This week we look at hydration, and why 72&nbsp;%% is a good place to start for anyone who has just fed a first starter.</p>`+
		`<p><a href="http://click.weeklyloaf.example/c?u=12345&amp;i=%d" style="background:#fca311;color:#000;padding:12px 18px;`+
		`text-decoration:none;display:inline-block">Read more</a></p><table width=100%%><tr><td style="background:#eee;padding:12px">Left column`+
		`</td><td style="background:#ddd;padding:12px">Right column</td></tr></table></div>`+
		`<img src="http://t.weeklyloaf.example/open.gif?id=abc%d" width=1 height=1></div></body></html>`,
		loafStyle, issue, topics[i], issue, issue)
	l := letter{from: "The Weekly Loaf <news@weeklyloaf.example>", to: adaName,
		subject: fmt.Sprintf("%s — issue %d", topics[i], issue), at: g.ago(3 + 168*float64(i)),
		extra: []string{"List-Unsubscribe: <https://weeklyloaf.example/u/abc>, <mailto:unsubscribe@weeklyloaf.example?subject=abc>",
			"List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Id: Weekly Loaf <loaf.weeklyloaf.example>", "Precedence: bulk"},
		body: g.multipart("alternative", text(topics[i]+"\n\nThis week we look at hydration.\nRead more: https://weeklyloaf.example/214\n"),
			message.Text("html", html))}
	var flags []mail.Flag
	if i > 1 {
		flags = []mail.Flag{mail.FlagSeen}
	}
	g.deliver(l, "INBOX", flags...)
}

// statement has text with a colour and no background: hard on dark themes.
func (g *generator) statement() {
	html := `<div style="color:#000"><p>Dear customer,</p><p style="color:#333">Your statement for November is ready to view. ` +
		`Text has a colour but <b>no background</b>, as many real messages do.</p><table bgcolor="#ffffff" style="border:1px solid #ccc">` +
		`<tr><td>Opening balance</td><td>1,204.10</td></tr><tr><td>Closing balance</td><td>987.22</td></tr></table></div>`
	g.deliver(letter{from: "Acme Bank <service@acmebank.example>", to: adaName, subject: "Your November statement is ready",
		at: g.ago(6), body: g.multipart("alternative", text("Your statement is ready."), message.Text("html", html))}, "INBOX", mail.FlagSeen)
}

// phishing shows one address and leads to another.
func (g *generator) phishing() {
	html := `<p>We noticed unusual activity. Please <a href="http://198.51.100.7/login">https://www.payfriend.example/login</a> within 24 hours.</p>` +
		`<form action="http://198.51.100.7/x" method="post"><input name=pw type=password placeholder="Password"><button>Log in</button></form>` +
		`<script>document.location='http://198.51.100.7/'</script>`
	for _, to := range []string{adaName, benName} {
		g.deliver(letter{from: `"PayFriend Support" <support@secure-1ogin.example>`, to: to, subject: "Action required: your account is limited",
			at: g.ago(1), extra: []string{"Reply-To: collect@drop.example",
				"Authentication-Results: mx.demo.test; spf=fail smtp.mailfrom=secure-1ogin.example; dkim=none; dmarc=fail"},
			body: g.multipart("alternative", text("Your account is limited."), message.Text("html", html))}, "INBOX")
	}
	// The display name is another address: mailers that show only names are fooled.
	g.deliver(letter{from: `"ben@demo.test" <b3n@freemail.example>`, to: adaName, subject: "quick favour",
		at: g.ago(9), body: text("Are you at your desk? I need six gift cards for a customer. I will explain later.\n\nBen")}, "INBOX")
}

func (g *generator) spam() {
	subjects := []string{"=?utf-8?B?4pyoIFlvdSB3b24g4pyo?=", "Re: Re: your invoice ###", "ROLEX R3PLICA 90% 0FF", "Congratulations ada!!!",
		"I am the widow of the late Mr. Adams", "Cheap l0ans f0r y0u"}
	for i, s := range subjects {
		html := "<center><font size=7 color=red>" + strings.Repeat("B<!-- "+s+" -->UY N<b></b>OW ", 6) + `</font><a href="http://203.0.113.9/` +
			fmt.Sprint(i) + `"><img src="http://203.0.113.9/b.jpg"></a></center>`
		to := []string{adaName, benName}[i%2]
		g.deliver(letter{from: fmt.Sprintf("offer%d <promo@b%dst-offers.example>", i, i), to: to, subject: "x", at: g.ago(20 + 31*float64(i)),
			extra: []string{"X-Spam-Score: 12.4"}, body: message.Text("html", html)}, "Junk", flagJunk)
		last := &g.items[len(g.items)-1]
		last.Raw = []byte(strings.Replace(string(last.Raw), "Subject: x\r\n", "Subject: "+s+"\r\n", 1))
	}
}

func (g *generator) shop(i int, subject string) {
	html := `<!DOCTYPE html><html><body><table align=center width=600 cellpadding=0 cellspacing=0>` +
		strings.Repeat(`<tr><td><table width=100%><tr><td style="font:14px Arial">Woollen socks, grey, 43&ndash;46</td><td align=right>12,90&nbsp;&euro;</td></tr></table></td></tr>`, 4) +
		`</table><p>Order <b>#77120</b></p><a href="https://wool.example/o/77120">Track your parcel</a></body></html>`
	g.deliver(letter{from: "Wool & Co. <hello@wool.example>", to: benName, subject: subject, at: g.ago(60 + 40*float64(i)),
		extra: []string{"List-Unsubscribe: <mailto:leave@wool.example>", "Auto-Submitted: auto-generated"},
		body:  message.Text("html", html)}, "INBOX", mail.FlagSeen)
}

// oneClick has only a HTML body, and that in base64.
func (g *generator) oneClick() {
	html := "<p>" + strings.Repeat("Große Auswahl, kleine Preise: Äpfel, Öl, Übersee-Tee. ", 8) + "</p>"
	raw := "From: =?iso-8859-1?Q?Markthalle_K=F6ln?= <post@markthalle.example>\r\nTo: " + adaName + "\r\nSubject: =?UTF-8?Q?Gro=C3=9Fe?=\r\n =?UTF-8?Q?_Auswahl?= heute\r\n" +
		"Date: " + g.ago(33).Format("Mon, 02 Jan 2006 15:04:05 MST") + "\r\nMessage-ID: " + g.id("markthalle.example") +
		"\r\nList-Unsubscribe: <https://markthalle.example/u/9>\r\nMIME-Version: 1.0\r\n"
	raw += string(message.Text("html", html).Append(nil)[len("MIME-Version: 1.0\r\n"):])
	g.add(Ada, "INBOX", g.ago(33), []byte(raw))
}
