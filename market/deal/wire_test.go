package deal_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	cbg "github.com/whyrusleeping/cbor-gen"
)

func someProposal() market.ClientDealProposal {
	c, _ := cid.Decode("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq")
	client, _ := address.NewIDAddress(101)
	provider, _ := address.NewIDAddress(1000)
	return market.ClientDealProposal{
		Proposal: market.DealProposal{
			PieceCID: c, PieceSize: 1024, Client: client, Provider: provider, StartEpoch: 1, EndEpoch: 2,
			StoragePricePerEpoch: big.NewInt(3), ProviderCollateral: big.NewInt(4), ClientCollateral: big.Zero(),
		},
		ClientSignature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: []byte{9}},
	}
}

func someMessages() map[string]interface {
	cbg.CBORMarshaler
	cbg.CBORUnmarshaler
} {
	root, _ := cid.Decode("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	p := someProposal()
	a, _ := address.NewIDAddress(1000)
	ask := deal.Ask{Price: big.NewInt(1), VerifiedPrice: big.NewInt(2), MinPieceSize: 256, MaxPieceSize: 1024, Miner: a, Timestamp: 3, Expiry: 4, SeqNo: 5}
	return map[string]interface {
		cbg.CBORMarshaler
		cbg.CBORUnmarshaler
	}{
		"Transfer ClientDealProposal IsOffline DealUUID DealDataRoot SkipIPNIAnnounce RemoveUnsealedCopy": &deal.Params{
			DealUUID: make([]byte, 16), DealDataRoot: root, ClientDealProposal: p, Transfer: deal.Transfer{Size: 5, Type: "http", Params: []byte("{}")}},
		"Message Accepted":   &deal.Response{Message: "no"},
		"DealUUID Signature": &deal.StatusRequest{DealUUID: make([]byte, 16), Signature: p.ClientSignature},
		"Error DealUUID IsOffline DealStatus TransferSize NBytesReceived": &deal.StatusResponse{DealUUID: make([]byte, 16), DealStatus: &deal.Status{
			Status: "Accepted", Proposal: p.Proposal, SignedProposalCid: root, PublishCid: &root}},
		"Miner": &deal.AskRequest{Miner: a},
		"Ask":   &deal.AskResponse{Ask: &deal.SignedAsk{Ask: &ask, Signature: &p.ClientSignature}},
		"Miner Price SeqNo Expiry Timestamp MaxPieceSize MinPieceSize VerifiedPrice": &ask,
	}
}

// keys lists the keys of a CBOR map in the order written.
func keys(t *testing.T, b []byte) []string {
	r := cbg.NewCborReader(bytes.NewReader(b))
	maj, n, err := r.ReadHeader()
	if err != nil || maj != cbg.MajMap {
		t.Fatalf("not a map: %d %v", maj, err)
	}
	var out []string
	for range n {
		k, err := cbg.ReadStringWithMax(r, 100)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
		if err := cbg.ScanForLinks(r, func(cid.Cid) {}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestCanonicalKeys: keys go shortest first, then bytewise, as spec markets.md A.1 says.
func TestCanonicalKeys(t *testing.T) {
	for names, m := range someMessages() {
		b, err := deal.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got := keys(t, b)
		for i := 1; i < len(got); i++ {
			if len(got[i]) < len(got[i-1]) || (len(got[i]) == len(got[i-1]) && got[i] < got[i-1]) {
				t.Errorf("%T: %q after %q", m, got[i], got[i-1])
			}
		}
		want := map[string]bool{}
		for _, k := range strings.Fields(names) {
			want[k] = true
		}
		for _, k := range got {
			if !want[k] {
				t.Errorf("%T has key %q", m, k)
			}
			delete(want, k)
		}
		if len(want) > 0 {
			t.Errorf("%T lacks %v", m, want)
		}
	}
}

// TestTolerantDecoding: a 1.2.0 sender leaves keys out, a later one has more, in any order.
func TestTolerantDecoding(t *testing.T) {
	var b bytes.Buffer
	w := cbg.NewCborWriter(&b)
	text := func(s string) { w.WriteMajorTypeHeader(cbg.MajTextString, uint64(len(s))); w.WriteString(s) }
	w.WriteMajorTypeHeader(cbg.MajMap, 3)
	text("SomethingNew")
	w.WriteMajorTypeHeader(cbg.MajArray, 2)
	text("a")
	w.WriteMajorTypeHeader(cbg.MajUnsignedInt, 7)
	text("IsOffline")
	cbg.WriteBool(w, true)
	text("DealUUID")
	cbg.WriteByteArray(w, bytes.Repeat([]byte{7}, 16))
	var p deal.Params
	if err := p.UnmarshalCBOR(&b); err != nil {
		t.Fatal(err)
	}
	if !p.IsOffline || p.DealUUID[0] != 7 || p.SkipIPNIAnnounce || p.RemoveUnsealedCopy {
		t.Errorf("%+v", p)
	}
}

func TestIdentifiers(t *testing.T) {
	p := someProposal()
	signed, err := deal.SignedCID(&p)
	if err != nil || !strings.HasPrefix(signed.String(), "bafyrei") {
		t.Errorf("signed proposal CID %s (%v)", signed, err)
	}
	onChain, err := deal.ProposalCID(p.Proposal, p.Proposal.Client, p.Proposal.Provider)
	if err != nil || !strings.HasPrefix(onChain.String(), "bafy2bza") {
		t.Errorf("proposal CID %s (%v)", onChain, err)
	}
	text, _ := market.NewLabelFromString("x")
	raw, _ := market.NewLabelFromBytes([]byte("x"))
	a, b := p, p
	a.Proposal.Label, b.Proposal.Label = text, raw
	ca, _ := deal.SignedCID(&a)
	cb, _ := deal.SignedCID(&b)
	if ca.Equals(cb) {
		t.Error("a label of text and one of bytes give the same proposal")
	}
}

func TestFIL(t *testing.T) {
	for v, want := range map[string]string{
		"0": "0 FIL", "1": "1 attoFIL", "999999999": "999999999 attoFIL", "1000000000": "0.000000001 FIL",
		"1000000000000000000": "1 FIL", "1500000000000000000": "1.5 FIL", "-2500000000000000000": "-2.5 FIL", "-7": "-7 attoFIL",
	} {
		n, _ := big.FromString(v)
		if got := deal.FIL(n); got != want {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
	}
	if got := deal.FIL(abi.TokenAmount{}); got != "0 FIL" {
		t.Error(got)
	}
	e := deal.Unfunded{Need: types.FilecoinPrecision, Have: big.Zero()}
	if !strings.HasSuffix(e.Error(), " 1") {
		t.Errorf("the command to fund it: %s", e)
	}
}

// FuzzMessages: no bytes make a decoder panic, and what decodes encodes to what decodes to
// the same.
func FuzzMessages(f *testing.F) {
	for _, m := range someMessages() {
		b, err := deal.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range someMessages() {
			if m.UnmarshalCBOR(io.LimitReader(bytes.NewReader(b), 64<<10)) != nil {
				continue
			}
			once, err := deal.Encode(m)
			if err != nil {
				continue // a field that may be absent when read and not when written
			}
			if m.UnmarshalCBOR(bytes.NewReader(once)) != nil {
				continue // likewise: an absent signature
			}
			again, err := deal.Encode(m)
			if err != nil || !bytes.Equal(once, again) {
				t.Fatalf("%T: %x became %x (%v)", m, once, again, err)
			}
		}
		var p deal.Params
		if p.UnmarshalCBOR(bytes.NewReader(b)) == nil {
			deal.Broken(&p.ClientDealProposal, deal.Terms{ClientKey: p.ClientDealProposal.Proposal.Client})
		}
	})
}
