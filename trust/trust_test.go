package trust

import (
	"strings"
	"testing"

	"posthouse/mail"
)

func codes(list []Reason) string {
	var b []string
	for _, r := range list {
		b = append(b, r.Code)
	}
	return strings.Join(b, " ")
}

func TestImitations(t *testing.T) {
	for _, c := range []struct {
		s    Sender
		want string
	}{
		{Sender{Name: "PayPal", Domain: "mail.paypal.com"}, ""},
		{Sender{Name: "Grace Okafor", Domain: "okafor.example"}, ""},
		{Sender{Name: "grace@okafor.example", Domain: "evil.example"}, ReasonName},
		{Sender{Name: "P\u0430yPal", Domain: "evil.example"}, ReasonName},
		{Sender{Name: "Grace Okafor", Domain: "evil.example", Known: Known{SameAs: "grace@okafor.example", First: true}}, ReasonName + " " + ReasonFirst},
		{Sender{Name: "Grace Okafor", Domain: "home.example", Known: Known{SameAs: "grace@okafor.example", Contact: true}}, ReasonContact},
		{Sender{Name: "x", Domain: "paypa1.com"}, ReasonLookalike},
		{Sender{Name: "x", Domain: "xn--pypal-4ve.com"}, ReasonLookalike},
		{Sender{Name: "x", Domain: "posthause.example", Own: []string{"posthouse.example"}}, ReasonLookalike},
		{Sender{Name: "x", Domain: "posthouse.example", Own: []string{"posthouse.example"}}, ""},
		{Sender{Name: "x", Domain: "okafar.example", Known: Known{Domains: []string{"okafor.example"}}}, ReasonLookalike},
		{Sender{Name: "x", Domain: "okafor.test", Known: Known{Domains: []string{"okafor.example"}}}, ""},
		{Sender{Name: "x", Domain: "gmail.com", Known: Known{Domains: []string{"mail.com"}}}, ""},
		{Sender{Name: "Dev list", Domain: "lists.example", List: "dev.lists.example", ReplyTo: []string{"dev.example"}}, ReasonList},
		{Sender{Name: "Shop", Domain: "shop.example", ReplyTo: []string{"desk.example"}}, ReasonReplyTo},
		{Sender{Name: "x", Domain: "paypa1.com", ReplyTo: []string{"desk.example"}}, ReasonLookalike + " " + ReasonReplyTo},
		{Sender{Domain: "a.example", Text: "About your Gift card.", Known: Known{First: true}}, ReasonMoney + " " + ReasonFirst},
		{Sender{Domain: "a.example", Text: "the invoices", Known: Known{First: true}}, ReasonFirst},
	} {
		v := Judge(c.s)
		if got := codes(v.Reasons); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	found := func(check, result string) []mail.Finding { return []mail.Finding{{Check: check, Result: result}} }
	const from = "from mx.a.example ([192.0.2.1]) by mx.demo.test with "
	for _, c := range []struct {
		s      Sender
		status Status
		want   string
	}{
		{Sender{Domain: "A.example", Findings: found("dmarc", "pass"), Received: from + "ESMTPS id 1"}, Verified, "verified encrypted"},
		{Sender{Domain: "a.example", Findings: found("dmarc", "fail"), Received: from + "ESMTP id 1"}, Unverified, "unverified cleartext"},
		{Sender{Domain: "a.example", Findings: found("dmarc", "temperror"), Received: from + "UTF8SMTPS id 1"}, Unknown, "undetermined encrypted"},
		{Sender{Domain: "a.example", Findings: found("spf", "pass"), Received: from + "SMTP id 1"}, Unknown, "cleartext"},
		{Sender{Domain: "demo.test", Received: from + "ESMTPSA id 1", Known: Known{Self: true}}, Verified, "verified"},
		{Sender{Domain: "demo.test", Received: from + "LMTP id 1"}, Unknown, ""},
		{Sender{Domain: "paypa1.com", Findings: found("dmarc", "pass")}, Suspicious, "lookalike verified"},
		{Sender{Name: "Shop", Domain: "shop.example", ReplyTo: []string{"desk.example"}}, Unknown, "reply-to"},
		{Sender{Domain: "a.example"}, Unknown, ""},
		{Sender{}, Unknown, ""},
	} {
		v := Judge(c.s)
		if v.Status != c.status || codes(v.Reasons) != c.want {
			t.Errorf("%+v: %s %q, want %s %q", c.s, v.Status, codes(v.Reasons), c.status, c.want)
		}
	}
}

func TestBody(t *testing.T) {
	got := Body([]Link{{"here", "https://a.example/"}, {"www.bank.example", "https://evil.example/"}, {"more", "http://198.51.100.7/"}}, 2)
	if codes(got) != ReasonLink+" "+ReasonForm || got[0].Shown != "www.bank.example" || got[0].Real != "evil.example" {
		t.Errorf("%+v", got)
	}
	if got := Body([]Link{{"more", "http://198.51.100.7/"}}, 0); codes(got) != ReasonAddress {
		t.Errorf("%+v", got)
	}
	if got := Body(nil, 0); got != nil {
		t.Errorf("%+v", got)
	}
}
