//go:build unix

package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// locked runs work while no other process, and nobody else in this one, holds the circuit's lock; waiting is called
// while somebody does. The kernel drops the lock of a process that dies.
func (s Store) locked(circuitID string, waiting func(), work func(dir string) error) error {
	dir := filepath.Join(s.Dir, circuitID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		waiting()
		time.Sleep(200 * time.Millisecond)
	}
	removeUnfinished(dir)
	temp, err := os.MkdirTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return work(temp)
}

// removeUnfinished clears what a killed process has left; whoever holds the lock has no living neighbour.
func removeUnfinished(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), unfinished) {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}
