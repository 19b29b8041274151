package smtp

import "strconv"

// LIMITS, RFC 9422: a sender need not find out by being refused.
var extLimits = &extension{keyword: "LIMITS", rfc: "RFC 9422",
	args: func(c *conn) string {
		l := &c.srv.opts.Limits
		text := "RCPTMAX=" + strconv.Itoa(l.Recipients)
		if !c.face.trusted {
			text = "MAILMAX=" + strconv.Itoa(l.Messages) + " " + text
		}
		return text
	},
}
