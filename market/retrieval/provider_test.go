package retrieval

import "testing"

// What a node tells of its gateway leads others to it.
func TestPublicAddr(t *testing.T) {
	for in, want := range map[string][2]string{
		"https://example.org":        {"/dns/example.org/tcp/443/https", "https://example.org:443"},
		"http://example.org:8080/":   {"/dns/example.org/tcp/8080/http", "http://example.org:8080"},
		"http://192.0.2.1":           {"/ip4/192.0.2.1/tcp/80/http", "http://192.0.2.1:80"},
		"https://[2001:db8::1]:9443": {"/ip6/2001:db8::1/tcp/9443/https", "https://[2001:db8::1]:9443"},
	} {
		a, err := PublicAddr(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if u, ok := gatewayURL(a); a.String() != want[0] || !ok || u != want[1] {
			t.Errorf("%s: %s leads to %q, want %v", in, a, u, want)
		}
	}
	for _, in := range []string{"", "me", "ftp://example.org", "https://example.org/path", "http://:80", "http://exa mple"} {
		if a, err := PublicAddr(in); err == nil {
			t.Errorf("%q gives %s", in, a)
		}
	}
}
