package tunnel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestT08Declared(t *testing.T) {
	o, err := DeclaredOffer("/x/web  127.0.0.1:80 " + idA + " report-peer-id " + idB)
	require.NoError(t, err)
	require.Equal(t, "/x/web", string(o.Protocol))
	require.True(t, o.ReportPeerID)
	require.False(t, o.AllowAny)
	require.Len(t, o.Allow, 2)
	o, err = DeclaredOffer("/http 127.0.0.1:80 any")
	require.NoError(t, err)
	require.True(t, o.AllowAny)
	for _, bad := range []string{"", "/x/web", "/x/web 127.0.0.1:80", "/x/web 127.0.0.1:80 everyone", "/x/web nowhere any", "/fil/x 127.0.0.1:80 any", "/x/web 127.0.0.1:0 any"} {
		_, err := DeclaredOffer(bad)
		require.Error(t, err, bad)
	}

	f, err := DeclaredForward(t.Context(), "/x/web 127.0.0.1:80 /ip4/1.2.3.4/tcp/1/p2p/"+idA)
	require.NoError(t, err)
	require.Equal(t, idA, f.Peer.ID.String())
	for _, bad := range []string{"", "/x/web 127.0.0.1:80", "/x/web 127.0.0.1:80 " + idA + " more", "/x/web 127.0.0.1:80 /dnsaddr/x", "/ipfs/x 127.0.0.1:80 " + idA, "/x/web x " + idA} {
		_, err := DeclaredForward(t.Context(), bad)
		require.Error(t, err, bad)
	}
}
