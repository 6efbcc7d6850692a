//go:build unix

// Package depot keeps directories of files that appear whole or not at all: each is written under another name, synced
// and renamed, under a lock that one process holds at a time. A file `current` beside them names the one in use.
package depot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"provery/prover/binfile"
)

// Unfinished starts the names of directories that are being written.
const Unfinished = ".unfinished-"

const fileCurrent = "current"

// File is a file's length and SHA-256.
type File struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Describe measures a file and hashes it.
func Describe(path string) (File, error) {
	file, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	return File{size, hex.EncodeToString(hash.Sum(nil))}, err
}

// IsDigest tells whether a text is a SHA-256 in lower-case hexadecimal.
func IsDigest(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && text == strings.ToLower(text)
}

// WriteSynced writes a file and brings it to the disk.
func WriteSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}

// Sync makes names in a directory durable.
func Sync(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// Current returns the name of the directory in use, and whether there is one: one that somebody has removed, as a
// damaged one should be, is none.
func Current(dir string) (name string, found bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, fileCurrent))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	name = strings.TrimSpace(string(text))
	if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return name, true, nil
}

// Use makes a directory the current one.
func Use(dir, name string) error {
	// an empty file after a power failure would be taken for a damaged store
	if _, err := binfile.WriteSynced(filepath.Join(dir, fileCurrent), strings.NewReader(name+"\n")); err != nil {
		return err
	}
	return Sync(dir)
}

// Locked runs work, with a new directory to write into, while no other process, and nobody else in this one, holds
// the lock of dir; waiting is called while somebody does. The kernel drops the lock of a process that dies.
func Locked(dir string, waiting func(), work func(temp string) error) error {
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
	temp, err := os.MkdirTemp(dir, Unfinished)
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
		if strings.HasPrefix(entry.Name(), Unfinished) {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}
