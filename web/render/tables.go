package render

// dropped elements go with all that is in them.
var dropped = set("script", "style", "template", "noscript", "svg", "math", "object", "embed", "iframe", "frame", "frameset", "noframes",
	"applet", "audio", "video", "canvas", "select", "textarea", "title", "xmp", "noembed", "plaintext", "datalist", "portal", "marquee", "dialog", "button")

// allowed elements are written; of all others only the content is.
var allowed = set("a", "abbr", "acronym", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br", "caption", "center", "cite",
	"code", "col", "colgroup", "dd", "del", "details", "dfn", "dir", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer",
	"h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "menu", "nav", "ol", "p", "pre", "q",
	"rp", "rt", "ruby", "s", "samp", "section", "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th",
	"thead", "time", "tr", "tt", "u", "ul", "var", "wbr")

// fields are counted: a message that asks for a password by itself is suspicious.
var fields = set("input", "button", "select", "textarea")

var void = set("br", "col", "hr", "img", "wbr", "input", "link", "meta", "base", "embed", "area", "source", "track", "param", "frame", "keygen", "command", "basefont", "bgsound")

// barriers keep an end tag inside of them from closing what is outside.
var barriers = set("table", "td", "th", "caption")

// tableParts may close over barriers.
var tableParts = set("table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption")

// closesParagraph are the elements before which an open p ends.
var closesParagraph = set("address", "article", "aside", "blockquote", "center", "details", "dir", "div", "dl", "figcaption", "figure", "footer",
	"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "menu", "nav", "ol", "p", "pre", "section", "table", "ul")

// implied end tags: what ends when a new element of the name begins, up to a limit
// element.
var implied = map[string]struct{ ends, within map[string]bool }{
	"li":    {set("li"), set("ul", "ol", "menu", "dir")},
	"dt":    {set("dt", "dd"), set("dl")},
	"dd":    {set("dt", "dd"), set("dl")},
	"td":    {set("td", "th"), set("tr", "table")},
	"th":    {set("td", "th"), set("tr", "table")},
	"tr":    {set("tr", "td", "th"), set("table", "tbody", "thead", "tfoot")},
	"tbody": {set("tr", "td", "th", "tbody", "thead", "tfoot"), set("table")},
	"thead": {set("tr", "td", "th", "tbody", "thead", "tfoot"), set("table")},
	"tfoot": {set("tr", "td", "th", "tbody", "thead", "tfoot"), set("table")},
	"a":     {set("a"), set("table", "td", "th")},
}

// attributes that are kept as they are, once escaped. What is not here is not kept,
// or is treated by name in attributes.go.
var attributes = set("dir", "lang", "title", "align", "valign", "width", "height", "bgcolor", "color", "face", "size", "border", "cellpadding",
	"cellspacing", "colspan", "rowspan", "alt", "start", "type", "reversed", "value", "datetime", "nowrap", "noshade", "hspace", "vspace", "rules", "frame",
	"summary", "abbr", "scope", "open", "clear", "compact", "span", "char", "charoff", "role")

// roles are those that cannot mislead who listens instead of looking.
var roles = set("presentation", "none")

// properties of CSS that are kept. position is looked at by value, url() in any of
// them is rewritten.
var properties = set("align-content", "align-items", "align-self", "background", "background-clip", "background-color", "background-image", "background-origin",
	"background-position", "background-position-x", "background-position-y", "background-repeat", "background-size", "border", "border-bottom", "border-bottom-color",
	"border-bottom-left-radius", "border-bottom-right-radius", "border-bottom-style", "border-bottom-width", "border-collapse", "border-color", "border-left",
	"border-left-color", "border-left-style", "border-left-width", "border-radius", "border-right", "border-right-color", "border-right-style", "border-right-width",
	"border-spacing", "border-style", "border-top", "border-top-color", "border-top-left-radius", "border-top-right-radius", "border-top-style", "border-top-width",
	"border-width", "box-shadow", "box-sizing", "caption-side", "clear", "color", "color-scheme", "column-gap", "columns", "direction", "display", "empty-cells", "flex",
	"flex-basis", "flex-direction", "flex-grow", "flex-shrink", "flex-wrap", "float", "font", "font-family", "font-feature-settings", "font-kerning", "font-size",
	"font-size-adjust", "font-stretch", "font-style", "font-variant", "font-variant-caps", "font-variant-numeric", "font-weight", "gap", "height", "hyphens",
	"justify-content", "justify-items", "justify-self", "letter-spacing", "line-break", "line-height", "list-style", "list-style-position", "list-style-type", "margin",
	"margin-bottom", "margin-left", "margin-right", "margin-top", "margin-inline", "margin-inline-start", "margin-inline-end", "margin-block", "max-height", "max-width",
	"min-height", "min-width", "object-fit", "object-position", "opacity", "order", "orphans", "outline", "outline-color", "outline-style", "outline-width", "overflow",
	"overflow-wrap", "overflow-x", "overflow-y", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top", "padding-inline", "padding-block",
	"position", "quotes", "row-gap", "tab-size", "table-layout", "text-align", "text-align-last", "text-decoration", "text-decoration-color", "text-decoration-line",
	"text-decoration-style", "text-decoration-thickness", "text-indent", "text-overflow", "text-shadow", "text-transform", "text-underline-offset", "unicode-bidi",
	"vertical-align", "visibility", "white-space", "widows", "width", "word-break", "word-spacing", "word-wrap", "writing-mode", "mso-hide")

// functions that a CSS value may use; url is rewritten.
var functions = set("rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "calc", "min", "max", "clamp", "linear-gradient", "radial-gradient",
	"repeating-linear-gradient", "repeating-radial-gradient", "conic-gradient", "color-stop", "url")

// pseudoClasses a selector may name.
var pseudoClasses = set("hover", "link", "visited", "active", "first-child", "last-child", "only-child", "first-of-type", "last-of-type", "nth-child", "nth-of-type", "nth-last-child")

// trackerHosts are services whose images report that a message was opened.
var trackerHosts = []struct{ suffix, name string }{
	{"list-manage.com", "Mailchimp"}, {"mailchimp.com", "Mailchimp"}, {"mandrillapp.com", "Mailchimp"}, {"sendgrid.net", "SendGrid"}, {"hubspotemail.net", "HubSpot"},
	{"hubspotlinks.com", "HubSpot"}, {"hs-sites.com", "HubSpot"}, {"mailgun.org", "Mailgun"}, {"pstmrk.it", "Postmark"}, {"sparkpostmail.com", "SparkPost"},
	{"exct.net", "Salesforce"}, {"exacttarget.com", "Salesforce"}, {"pardot.com", "Salesforce"}, {"createsend1.com", "Campaign Monitor"}, {"cmail19.com", "Campaign Monitor"},
	{"cmail20.com", "Campaign Monitor"}, {"klaviyomail.com", "Klaviyo"}, {"convertkit-mail.com", "Kit"}, {"mailjet.com", "Mailjet"}, {"mjt.lu", "Mailjet"},
	{"sendinblue.com", "Brevo"}, {"brevo.com", "Brevo"}, {"mktomail.com", "Marketo"}, {"eloqua.com", "Oracle Eloqua"}, {"customeriomail.com", "Customer.io"},
	{"intercom-mail.com", "Intercom"}, {"google-analytics.com", "Google Analytics"}, {"doubleclick.net", "Google"}, {"facebook.com", "Facebook"}, {"yesware.com", "Yesware"},
	{"mailtrack.io", "Mailtrack"}, {"bananatag.com", "Staffbase"}, {"streak.com", "Streak"}, {"superhuman.com", "Superhuman"}, {"substack.com", "Substack"},
	{"awstrack.me", "Amazon SES"}, {"litmus.com", "Litmus"}, {"emltrk.com", "Litmus"}, {"returnpath.net", "Validity"}, {"getresponse.com", "GetResponse"},
	{"aweber.com", "AWeber"}, {"constantcontact.com", "Constant Contact"}, {"rs6.net", "Constant Contact"}, {"linkedin.com", "LinkedIn"}, {"beehiiv.com", "beehiiv"},
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
