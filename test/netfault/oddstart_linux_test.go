package netfault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// oddTime is how long a start that cannot work may take to say so on a busy machine. One that
// never does is what it finds.
const oddTime = 5 * time.Minute

// oddStart runs the program where it cannot start, or can only wait. Node 0 is up and node 1
// is down. What cannot start must end by itself, with an error that says what is wrong, and
// must leave what it touched fit for use.
func (w *netnsWorld) oddStart(kind string) error {
	switch kind {
	case "repo locked":
		return w.refused(w.spaces[0], w.repo(0), nil, fmt.Sprint(w.nodes[0].cmd.Process.Pid))
	case "port in use":
		return w.refused(w.spaces[0], w.repo(1), []string{"LODE_LIBP2P_LISTENADDRESSES=" + nsListen(0)}, "listen on")
	case "repo read-only":
		return w.readOnly()
	case "names without addresses":
		return w.waits([]string{"LODE_LIBP2P_BOOTSTRAP=/dns4/nobody.invalid/tcp/4001/p2p/" + w.ids[0].String()})
	}
	return fmt.Errorf("nobody knows the odd start %q", kind)
}

// refused wants the program to end with an error that holds a text.
func (w *netnsWorld) refused(ns *namespace, repo string, env []string, want string) error {
	ctx, cancel := context.WithTimeout(context.Background(), oddTime)
	defer cancel()
	cmd := ns.command(w.bin, "--repo", repo, "daemon")
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = append(w.env(1), env...), &said
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it goes on after %s: %s", oddTime, said.String())
	case !errors.As(err, &exit):
		return fmt.Errorf("it ended with %w: %s", err, said.String())
	case bytes.Contains(said.Bytes(), []byte("panic:")) || !bytes.Contains(said.Bytes(), []byte(want)):
		return fmt.Errorf("it does not speak of %q: %s", want, said.String())
	}
	return nil
}

// readOnly gives the program a repo that nobody can write to.
func (w *netnsWorld) readOnly() (err error) {
	dir := filepath.Join(w.dir, "read-only")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	out, err := exec.Command("cp", "-a", w.repo(1)+"/.", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy a repo: %w: %s", err, out)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make it read-only: %w", err)
	}
	return w.refused(w.spaces[1], dir, nil, "read-only file system")
}

// waits wants node 1 to answer although it can reach nobody.
func (w *netnsWorld) waits(env []string) error {
	before := w.extraEnv
	w.extraEnv = env
	err := w.start(1)
	w.extraEnv = before
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	peers, err := w.api(1).NetPeers(ctx)
	if err == nil && len(peers) > 0 {
		err = fmt.Errorf("it has peers %s", strings.Join(strings.Fields(fmt.Sprint(peers)), " "))
	}
	return errors.Join(err, w.end(1, syscall.SIGTERM))
}
