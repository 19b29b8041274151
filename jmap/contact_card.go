package jmap

// cardName and cardEmails read a contact as RFC 9553 has it.

func cardName(m values) string {
	name, _ := m["name"].(map[string]any)
	full, _ := name["full"].(string)
	if full != "" {
		return full
	}
	list, _ := name["components"].([]any)
	for _, c := range list {
		part, _ := c.(map[string]any)
		text, _ := part["value"].(string)
		if kind, _ := part["kind"].(string); text != "" && kind != "separator" {
			if full != "" {
				full += " "
			}
			full += text
		}
	}
	return full
}

func cardEmails(m values) []string {
	list, _ := m["emails"].(map[string]any)
	var out []string
	for _, k := range sortedNames(list) {
		e, _ := list[k].(map[string]any)
		if address, _ := e["address"].(string); address != "" {
			out = append(out, address)
		}
	}
	return out
}
