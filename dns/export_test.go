package dns

// ServersOf lets the tests see which servers a Client would ask.
func ServersOf(c *Client) ([]Server, error) { return c.servers() }
