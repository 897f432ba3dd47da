package netfault_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	netnsDir   = "/run/netns"
	nsPrefix   = "lodefault-" // then the number of our process and of the namespace
	deviceName = "wire"
)

// missing says why namespaces cannot be made here, or nothing.
func missing() string {
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "it needs the program ip of iproute2"
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return "it needs TUN devices: " + err.Error()
	}
	f.Close()
	return ""
}

// sweep removes the namespaces of runs that were killed before they could.
func sweep(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(netnsDir, nsPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range names {
		name := filepath.Base(path)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, nsPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err != nil || errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			if err := ip("netns", "del", name); err != nil {
				t.Log(err)
			}
		}
	}
}

// ip runs the program of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// namespace is a network namespace whose only way out is a TUN device of ours.
type namespace struct {
	name  string
	addrs []netip.Addr
}

// serial numbers the namespaces of this process.
var serial atomic.Int64

// newNamespace makes a namespace with a device and addresses; it is removed with the test.
func newNamespace(t *testing.T, addrs ...netip.Addr) (*namespace, *os.File) {
	t.Helper()
	n := &namespace{name: fmt.Sprintf("%s%d-%d", nsPrefix, os.Getpid(), serial.Add(1)), addrs: addrs}
	if err := ip("netns", "add", n.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ip("netns", "del", n.name); err != nil {
			t.Error(err)
		}
	})
	var tun *os.File
	err := n.inside(func() (err error) {
		tun, err = openTUN(deviceName)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "set", deviceName, "mtu", strconv.Itoa(mtu), "up"},
	} {
		if err := ip(append([]string{"-n", n.name}, args...)...); err != nil {
			t.Fatal(errors.Join(err, tun.Close()))
		}
	}
	for _, a := range addrs {
		if err := ip("-n", n.name, "addr", "add", a.String()+"/16", "dev", deviceName); err != nil {
			t.Fatal(errors.Join(err, tun.Close()))
		}
	}
	return n, tun
}

// inside calls do on a thread that is in the namespace. Sockets and devices opened there
// stay in it.
func (n *namespace) inside(do func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread ends with this goroutine when it cannot go back.
		runtime.LockOSThread()
		done <- func() error {
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			there, err := os.Open(filepath.Join(netnsDir, n.name))
			if err != nil {
				return err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace %s: %w", n.name, err)
			}
			err = do()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return errors.Join(err, back)
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-done
}

// dial connects from within the namespace.
func (n *namespace) dial(ctx context.Context, addr string) (net.Conn, error) {
	var c net.Conn
	err := n.inside(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// command is a program to be run in the namespace; its process is the program itself.
func (n *namespace) command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.name}, args...)...)
}

// openTUN makes a TUN device in the namespace of the calling thread.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, errors.Join(fmt.Errorf("make device %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
