package dkim_test

import (
	"strings"
	"testing"

	"posthouse/mailauth/dkim"
)

const rfc6376 = `DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
`

// The example of RFC 6376 §A.2, with the spaces that it was signed with (the document
// set one more between the sentences), and with each of its parts
// changed: simple canonicalisation forgives no space.
func TestRFC6376(t *testing.T) {
	keys := records{txt: map[string][]string{"brisbane._domainkey.example.com": {"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkM" +
		"oGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/R" +
		"tdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToI" +
		"MmPSPDdQPNUYckcQ2QIDAQAB"}}}
	for _, tt := range []struct{ old, new, reason string }{
		{"", "", ""},
		{"hungry", "thirsty", "the body was changed"},
		{"game. Are", "game.  Are", "the body was changed"},
		{"Joe.\r\n", "Joe.\r\n\r\n", ""},
		{"dinner ready", "dinner  ready", "the signature does not fit the header"},
		{"From: Joe", "from: Joe", "the signature does not fit the header"},
	} {
		rs := verify(t, keys, strings.Replace(crlf(rfc6376), tt.old, tt.new, 1), 100)
		if len(rs) != 1 || (rs[0].Status == dkim.Pass) != (tt.reason == "") || rs[0].Reason != tt.reason {
			t.Errorf("%q: %+v", tt.new, rs)
		}
	}
}
