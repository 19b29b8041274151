package smtp

import (
	"strconv"
	"strings"
)

// LIMITS, RFC 9422: a sender need not find out by being refused.
var extLimits = &extension{keyword: "LIMITS", rfc: "RFC 9422",
	offered: func(c *conn) bool { return len(c.limits()) > 0 },
	args:    func(c *conn) string { return strings.Join(c.limits(), " ") },
}

// maxLimit is the largest that RFC 9422 §4 can say, six digits.
const maxLimit = 999_999

// limits are those that there are.
func (c *conn) limits() []string {
	l := &c.opts.Limits
	var list []string
	if l.Messages <= maxLimit && !c.face.trusted {
		list = append(list, "MAILMAX="+strconv.Itoa(l.Messages))
	}
	if l.Recipients <= maxLimit {
		list = append(list, "RCPTMAX="+strconv.Itoa(l.Recipients))
	}
	return list
}
