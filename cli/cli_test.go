package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/repo"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	address.CurrentNetwork = address.Testnet
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // libraries start goroutines when they are loaded
}

// run runs a command line against the fake node, in a folder of its own.
func run(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	return runWith(t, fakeNode(), stdin, args...)
}

func runWith(t *testing.T, n api.Node, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	return runIn(t, nil, n, stdin, args...)
}

// runIn runs it with more in the environment.
func runIn(t *testing.T, env []string, n api.Node, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{Std: Std{In: strings.NewReader(stdin), Out: &o, Err: &e, Env: append([]string{"HOME=/home/me", "LODE_API_INFO=token:/ip4/127.0.0.1/tcp/1234/http"}, env...)}}
	a.dial = func(context.Context, client.Target) (api.Node, func() error, error) {
		return n, func() error { return nil }, nil
	}
	code = a.run(t.Context(), args)
	return code, o.String(), e.String()
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update")
	require.Equal(t, string(want), got, "run the test with -update if that is meant")
}

// lines are command lines that work against the fake node.
func lines() []string {
	addr, other, deal, root := fakeKey.String(), fakeOther.String(), fakeDeal.String(), fakeRoot.String()
	pid := fakePeer.String()
	return []string{
		"status", "stop", "wait-api", "config default",
		"auth new", "auth new --perm admin", "auth info --perm sign", "auth verify good",
		"chain head", "chain ls", "chain ls --count 2", "chain ls --height 2", "chain show @2", "chain get head", "chain show " + fakeTipSet(2).Cids()[0].String(),
		"chain block " + root, "chain message " + root, "chain read-obj " + root,
		"actor ls", "actor show t01000",
		"send " + other + " 1.5 --yes", "send " + other + " 1.5 --preview", "send t01000 0 --method 16 --params 80 --yes --wait",
		"message wait " + types.EmptyAMTCid.String(), "message search " + types.EmptyAMTCid.String(), "msg show " + root,
		"mpool ls", "mpool pending --local", "mpool ls --from " + other, "mpool nonce", "mpool replace " + fakeMessage(5).Cid().String() + " --yes", "mpool select", "mpool config",
		"wallet new", "wallet new bls", "wallet ls", "wallet list -a", "wallet balance", "wallet balance " + other, "wallet default", "wallet default " + other,
		"wallet export " + addr + " --yes", "wallet rm " + addr + " --yes", "wallet sign " + addr + " 00", "wallet verify " + addr + " 00 01abcd",
		"market balance", "market add 2.5 --yes", "market withdraw 1 --yes --address t01000",
		"net id", "net listen", "net peers", "net connect /ip4/1.2.3.4/tcp/5/p2p/" + pid, "net disconnect " + pid,
		"p2p listen /x/ssh /ip4/127.0.0.1/tcp/22 --allow-peer " + pid, "p2p listen /web 127.0.0.1:80 --allow-custom-protocol --allow-peer any -r", "p2p listen /x/ssh 127.0.0.1:22 -q",
		"p2p listen /x/ssh 127.0.0.1:22 --allow-peer any -f", "p2p forward /x/ssh 127.0.0.1:0 /p2p/" + pid, "p2p forward /x/ssh 127.0.0.1:2222 " + pid + " --foreground",
		"p2p close -p /x/ssh", "p2p close -a --streams", "p2p ls", "p2p ls -v", "p2p stream ls", "p2p stream ls --headers", "p2p stream close 1", "p2p stream close -a", "p2p stat",
		"id", "id -f <id>/<agent>", "net peers --long", "swarm peers", "net connect t01000", "net findpeer " + pid, "net find t01000", "net scores", "net reachability",
		"net bandwidth", "net stats --by-peer --by-protocol", "net ban ls", "net ban add 192.0.2.0/24 " + pid, "net ban rm " + pid,
		"net protect " + pid, "net unprotect " + pid, "net protected", "ping " + pid + " -c 2 -i 1ms", "net ping t01000 -c 1",
		"bootstrap ls", "bootstrap add /ip4/1.2.3.4/tcp/5/p2p/" + pid, "bootstrap rm " + pid, "net bootstrap ls",
		"dht findpeer " + pid, "dht findprovs " + root, "dht provide " + root, "dht query " + pid, "bitswap stat",
		"address lookup t01000", "get " + root + " -o /tmp/lode-cli-test/none",
		"sync status", "sync wait",
		"client import cli_test.go", "client ls", "data ls",
		"deal make " + root + " --provider t01000 --yes", "deal make cli_test.go --provider t01000 --max-price 1nanofil --wait --yes", "deal ls", "deal ls --provider",
		"deal show " + deal, "deal check " + deal, "deal wait " + deal,
		"retrieve " + root + " -o /tmp/lode-cli-test/none", "client retrieve " + root + "/a/b -o /tmp/lode-cli-test/none --provider t01000",
		"miner ls", "miner show", "miner info t01000", "miner power", "miner start", "miner stop --yes", "miner status", "miner create --yes", "miner create --worker t0101 --yes",
		"sector ls", "sector show 3", "sector show 3 --log", "sector pledge -n 2 --yes", "sector seal 3",
		"sector retry 3", "sector terminate 3 --yes", "sector rm 3 --yes",
		"proving show", "proving deadlines", "proving ls --all",
		"params ls", "params verify", "params rm --all --yes",
		"ask show", "ask show t01000", "ask set 500attofil --verified-price 0",
	}
}

func TestOutput(t *testing.T) {
	var text, asJSON strings.Builder
	for _, l := range lines() {
		code, out, errOut := run(t, "", strings.Fields(l)...)
		require.Zero(t, code, "%s: %s", l, errOut)
		fmt.Fprintf(&text, "$ lode %s\n%s", l, out)
		if errOut != "" {
			fmt.Fprintf(&text, "--- standard error\n%s", errOut)
		}
		text.WriteString("\n")
		for i, row := range strings.Split(out, "\n") {
			require.Equal(t, strings.TrimRight(row, " "), row, "%s: line %d ends in spaces", l, i)
		}

		code, out, errOut = run(t, "", append([]string{"--json", "-q"}, strings.Fields(l)...)...)
		require.Zero(t, code, "%s --json: %s", l, errOut)
		require.Empty(t, errOut, "%s --json -q wrote to standard error", l)
		var v any
		require.NoError(t, json.Unmarshal([]byte(out), &v), "%s --json printed %q", l, out)
		fmt.Fprintf(&asJSON, "$ lode %s --json\n%s\n", l, out)
	}
	golden(t, "output", text.String())
	golden(t, "json", asJSON.String())
}

// walk visits every command.
func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}

func TestHelp(t *testing.T) {
	a := &app{Std: Std{Env: []string{"HOME=/home/me"}}}
	var all strings.Builder
	walk(a.root(), func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code, out, errOut := run(t, "", args...)
		require.Zero(t, code, errOut)
		require.Contains(t, out, "Exit codes:", c.CommandPath())
		if !c.HasSubCommands() {
			require.NotEmpty(t, c.Example, "%s has no example", c.CommandPath())
			require.Contains(t, out, "--json")
		}
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.False(t, strings.HasSuffix(c.Short, "."), "%s: the short text ends without a full stop", c.CommandPath())
		for _, e := range strings.Split(c.Example, "\n") {
			if e != "" && c.HasParent() {
				require.Contains(t, e, "lode ", c.CommandPath())
			}
		}
		fmt.Fprintf(&all, "$ lode %s\n%s\n", strings.Join(args, " "), out)
	})
	golden(t, "help", all.String())
}

func TestErrors(t *testing.T) {
	root := fakeRoot.String()
	for _, c := range []struct {
		line string
		code int
		want string
	}{
		{"frobnicate", exitUsage, `unknown command "frobnicate" for "lode"`},
		{"chain heed", exitUsage, `did you mean head?`},
		{"chain head extra", exitUsage, "unknown command"},
		{"chain head --no-such-flag", exitUsage, "unknown flag"},
		{"chain show", exitUsage, "requires at least 1 arg"},
		{"chain show @x", exitUsage, "is not @ and an epoch"},
		{"chain show @9", exitError, "epoch is after the head"},
		{"chain block xyz", exitUsage, `"xyz" is not a CID`},
		{"auth new --perm root", exitUsage, "not read, write, sign or admin"},
		{"auth verify bad", exitError, "token is not valid"},
		{"actor show t0", exitUsage, "is not an address"},
		{"actor show t0999", exitError, "actor not found"},
		{"send t01000 much --yes", exitUsage, "write for example"},
		{"send t01000 -- -1", exitUsage, "is negative"},
		{"send nobody 1 --yes", exitUsage, "is not an address"},
		{"send t01000 1 --params xx --yes", exitUsage, "is not hex"},
		{"send t01000 1", exitUsage, "add --yes to do it"},
		{"send t01000 2000 --yes", exitError, "send it some first"},
		{"message wait " + root, exitMessage, "exit code 16"},
		{"message search " + root, exitError, "not on chain"},
		{"mpool replace " + root + " --yes", exitError, "not pending"},
		{"mpool select --quality 2", exitUsage, "not between 0 and 1"},
		{"wallet new ed25519", exitUsage, "not secp256k1 or bls"},
		{"wallet export " + fakeKey.String(), exitUsage, "add --yes"},
		{"wallet rm " + fakeKey.String(), exitUsage, "add --yes"},
		{"wallet sign t01000 xyz", exitUsage, "is not hex"},
		{"wallet verify t01000 00 01cd", exitError, "not one of"},
		{"wallet verify t01000 00 0", exitUsage, "not a signature"},
		{"p2p listen /ssh 127.0.0.1:22", exitError, "within '/x/' namespace"},
		{"p2p listen /x/ssh 127.0.0.1:22 --allow-peer me", exitUsage, "is not a peer id"},
		{"p2p close", exitUsage, "no matching options given"},
		{"p2p close -a -p /x/ssh", exitUsage, "can't combine --all with other matching options"},
		{"p2p stream close", exitUsage, "no id specified"},
		{"p2p stream close one", exitUsage, "is not a stream's number"},
		{"p2p stream close 7", exitError, "no such tunnel stream"},
		{"p2p stream close 1 --all", exitUsage, "not both"},
		{"wallet import /no/such/file", exitError, "no such file"},
		{"wallet import cli_test.go", exitError, "neither JSON nor hex"},
		{"market add 1", exitUsage, "add --yes"},
		{"net connect /ip4/1.2.3.4/tcp/5", exitUsage, "/p2p/"},
		{"net connect nowhere", exitUsage, "not a multiaddr"},
		{"net connect /ip4/10.0.0.1/tcp/1/p2p/" + fakePeer.String(), exitError, "too far away"},
		{"net disconnect x", exitUsage, "is not a peer id"},
		{"net findpeer " + fakeGuest.String(), exitError, "connect to one first"},
		{"net findpeer x", exitUsage, "is not a peer id"},
		{"net ban add x", exitError, "neither an address nor"},
		{"net ban add 192.0.2.1 --for -1s", exitUsage, "is not positive"},
		{"ping " + fakeGuest.String(), exitError, "too far away"},
		{"ping " + fakeGuest.String() + " -c 0", exitUsage, "are positive"},
		{"bootstrap add /ip4/1.2.3.4/tcp/5", exitUsage, "/p2p/"},
		{"bootstrap rm " + fakeGuest.String(), exitError, "not a bootstrap peer"},
		{"dht findprovs x", exitUsage, "is not a CID"},
		{"dht findprovs " + types.EmptyAMTCid.String(), exitError, "has announced"},
		{"dht query x", exitUsage, "is not a peer id"},
		{"get " + root, exitUsage, "with -o"},
		{"get " + root + " -o cli_test.go", exitError, "exists already"},
		{"address lookup t0999", exitError, "actor not found"},
		{"heartbeat collect --listen here", exitUsage, "is not a multiaddr"},
		{"client import /no/such/file", exitError, "no such file"},
		{"client import testdata", exitError, "is not a file"},
		{"deal make " + root, exitUsage, "--provider"},
		{"deal make " + root + " --provider t01000", exitUsage, "at most 500 picoFIL per GiB and epoch; add --yes"},
		{"deal make nosuchfile --provider t01000 --yes", exitError, "neither the CID of something imported nor a file"},
		{"deal make " + root + " --provider t01001", exitError, "does not answer"},
		{"deal show 7", exitUsage, "is not a deal's id"},
		{"deal show 00000000-0000-0000-0000-000000000001", exitError, "no such deal here"},
		{"retrieve " + root, exitUsage, "with -o"},
		{"retrieve " + root + " -o cli_test.go", exitError, "exists already"},
		{"retrieve " + root + " -o /tmp/lode-cli-test/none --provider t01001", exitError, "no provider has it"},
		{"sector show three", exitUsage, "is not a sector number"},
		{"sector show 5", exitError, "not one of this provider"},
		{"sector pledge -n 0 --yes", exitUsage, "is not positive"},
		{"sector pledge", exitUsage, "add --yes"},
		{"miner stop", exitUsage, "add --yes"},
		{"--api nowhere status", exitUsage, "neither a multiaddr nor"},
		{"--repo /no/such/repo config show", exitError, "no such file"},
		{"--repo /no/such/repo network info", exitError, "lode init"},
		{"--repo /no/such/repo daemon", exitError, "lode init"},
		{"network new", exitUsage, "--out"},
		{"network new --out testdata --proofs insecure", exitError, "exists already"},
		{"miner create --yes --worker " + fakeOther.String(), exitUsage, "not a BLS key"},
		{"network new --out /tmp/lode-cli-test/n", exitUsage, "--proofs"},
		{"network new --out /tmp/lode-cli-test/n --proofs none", exitUsage, "no proof system"},
		{"network new --out /tmp/lode-cli-test/n --proofs insecure --keys testdata", exitUsage, "--keys is for"},
		{"network new --out /tmp/lode-cli-test/n --proofs groth16 --keys testdata", exitError, "a ceremony made"},
		{"prove", exitError, "read the job"},
		{"network new --out /tmp/lode-cli-test/n --proofs insecure --sector-size 3MiB", exitError, "sector size"},
		{"network new --out /tmp/lode-cli-test/n --proofs insecure --epoch 1500ms", exitUsage, "whole seconds"},
		{"params setup --sector-size 3MiB", exitUsage, "there are no circuits"},
		{"params setup --circuit fast", exitUsage, "not one of porep, winning, window"},
		{"params ceremony init /tmp/lode-cli-test/c --circuit fast", exitUsage, "not one of"},
		{"params ceremony contribute testdata", exitError, "is no ceremony's folder"},
		{"params ceremony verify testdata", exitError, "is no ceremony's folder"},
		{"params ceremony finalize testdata", exitUsage, "--beacon"},
		{"params ceremony finalize testdata --beacon 00ff", exitError, "is no ceremony's folder"},
		{"params rm", exitUsage, "--all"},
		{"params rm --all", exitUsage, "add --yes"},
		{"params rm nosuch", exitError, "neither a file nor a circuit"},
		{"params import cli_test.go", exitError, "corrupt"},
		{"init", exitUsage, "--network"},
	} {
		code, out, errOut := run(t, "", strings.Fields(c.line)...)
		require.Equal(t, c.code, code, "%s: %s", c.line, errOut)
		require.Contains(t, errOut, c.want, c.line)
		require.True(t, strings.HasPrefix(errOut, "lode: "), "%s: %q", c.line, errOut)
		if c.code == exitUsage {
			require.Contains(t, errOut, "--help", c.line)
		}
		if c.code != exitMessage && !strings.HasPrefix(c.line, "wallet verify") {
			require.Empty(t, out, c.line)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{fmt.Errorf("x: %w", client.ErrUnreachable), 3},
		{fmt.Errorf("x: %w", repo.ErrNoDaemon), 3},
		{repo.ErrLocked, 1},
		{api.ErrActorNotFound, 1},
		{usagef("x"), 2},
	} {
		require.Equal(t, c.want, exitCode(c.err), "%v", c.err)
	}
}

func TestNodeThatIsNotThere(t *testing.T) {
	var o, e bytes.Buffer
	std := Std{In: strings.NewReader(""), Out: &o, Err: &e, Env: []string{"HOME=/home/me"}}
	require.Equal(t, exitUnreachable, Main(t.Context(), []string{"--api", "/ip4/127.0.0.1/tcp/1/http", "chain", "head"}, std))
	require.Contains(t, e.String(), "node cannot be reached at /ip4/127.0.0.1/tcp/1/http")
	e.Reset()
	require.Equal(t, exitUnreachable, Main(t.Context(), []string{"--api", "/ip4/127.0.0.1/tcp/1/http", "--timeout", "300ms", "wait-api"}, std))
	require.Contains(t, e.String(), "gave up after 300ms")
}

func TestTimeoutAndInterrupt(t *testing.T) {
	n := fakeNode()
	n.Call.ChainHead = func(ctx context.Context) (*types.TipSet, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	code, _, errOut := runWith(t, n, "", "--timeout", "10ms", "chain", "head")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "gave up after 10ms")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	a := &app{Std: Std{In: strings.NewReader(""), Out: &o, Err: &e, Env: []string{"LODE_API_INFO=http://x"}}}
	a.dial = func(context.Context, client.Target) (api.Node, func() error, error) {
		return n, func() error { return nil }, nil
	}
	require.Equal(t, exitError, a.run(ctx, []string{"chain", "head"}))
	require.Equal(t, "lode: interrupted\n", e.String())
}

func TestWalletImportFromStandardInput(t *testing.T) {
	k := api.KeyInfo{Type: api.KeySecp256k1, PrivateKey: make([]byte, 32)}
	text, err := k.Hex()
	require.NoError(t, err)
	n := fakeNode()
	var got *api.KeyInfo
	imported := n.Call.WalletImport
	n.Call.WalletImport = func(ctx context.Context, k *api.KeyInfo) (address.Address, error) {
		got = k
		return imported(ctx, k)
	}
	code, out, errOut := runWith(t, n, text+"\n", "wallet", "import", "--as-default")
	require.Zero(t, code, errOut)
	require.Equal(t, fakeOther.String()+"\n", out)
	require.Equal(t, k, *got)
}

func TestDealMakePaysWhatWasAgreedTo(t *testing.T) {
	n := fakeNode()
	var order *api.DealOrder
	makeDeals := n.Call.DealMake
	n.Call.DealMake = func(ctx context.Context, o *api.DealOrder) ([]*api.ClientDeal, error) {
		order = o
		return makeDeals(ctx, o)
	}
	code, _, errOut := runWith(t, n, "", "deal", "make", fakeRoot.String(), "--provider", "t01000", "--yes", "--max-price", "7attofil", "--duration", "9", "--verified")
	require.Zero(t, code, errOut)
	require.Equal(t, "7", order.Price.String())
	require.EqualValues(t, 9, order.Duration)
	require.True(t, order.Verified)
}

func TestSizesAndAmounts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 8 << 20: "8 MiB", 1 << 62: "4 EiB"} {
		require.Equal(t, want, size(n))
	}
	for s, want := range map[string]uint64{"2KiB": 2048, "8 MiB": 8 << 20, "32gib": 32 << 30, "512": 512, "5b": 5} {
		got, err := parseSize(s)
		require.NoError(t, err)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "MiB", "-1KiB", "1.5MiB", "99999999999TiB", "8MB5"} {
		_, err := parseSize(s)
		require.Error(t, err, s)
	}
}

// What is shown of a miner or an actor is of one head, also when it moves while it is asked for.
func TestShownIsOfOneHead(t *testing.T) {
	for _, args := range []string{"miner show t01000", "actor show t01000", "miner ls", "proving show t01000"} {
		n := fakeNode()
		var asked []types.TipSetKey
		calls := reflect.ValueOf(&n.Call).Elem()
		for i := range calls.NumField() {
			f := calls.Field(i)
			at := f.Type().NumIn() - 1
			if f.IsNil() || at < 0 || f.Type().In(at) != reflect.TypeFor[types.TipSetKey]() {
				continue
			}
			ask := reflect.ValueOf(f.Interface())
			f.Set(reflect.MakeFunc(f.Type(), func(in []reflect.Value) []reflect.Value {
				asked = append(asked, in[at].Interface().(types.TipSetKey))
				return ask.Call(in)
			}))
		}
		code, _, errOut := runWith(t, n, "", strings.Fields(args)...)
		require.Zero(t, code, errOut)
		require.GreaterOrEqual(t, len(asked), 2, args)
		for _, key := range asked {
			require.False(t, key.IsEmpty(), "%s asks about whatever the head is", args)
			require.Equal(t, asked[0], key, args)
		}
	}
}

// Sectors that were begun before one could not be are not kept from the user.
func TestPledgeThatFailsOnTheWay(t *testing.T) {
	n := fakeNode()
	pledge, left := n.Call.PledgeSector, 2
	n.Call.PledgeSector = func(ctx context.Context) (abi.SectorID, error) {
		if left--; left < 0 {
			return abi.SectorID{}, errors.New("no room")
		}
		return pledge(ctx)
	}
	code, _, errOut := runWith(t, n, "", "sector", "pledge", "--count", "3", "--yes")
	require.Equal(t, exitError, code)
	require.Contains(t, errOut, "2 of 3 sectors were begun, the last is 4: no room")
}
