package binfile

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

// Written describes a file that was written: its size and the SHA-256 of its bytes in lower-case hex.
type Written struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// WriteAtomic writes chunks to path through a temporary file in the same directory and a rename, so that no
// reader ever sees a partial file. Errors are those of the file system.
func WriteAtomic(path string, chunks ...[]byte) (Written, error) {
	return replace(path, false, func(to io.Writer) error {
		for _, chunk := range chunks {
			if _, err := to.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteSynced is WriteAtomic for content that must be on the disk before it has its name: after a power failure the
// name stands for the old content or the new. That the new one is found needs the directory synced too.
func WriteSynced(path string, content io.WriterTo) (Written, error) {
	return replace(path, true, func(to io.Writer) error {
		buffered := bufio.NewWriterSize(to, 1<<20)
		if _, err := content.WriteTo(buffered); err != nil {
			return err
		}
		return buffered.Flush()
	})
}

func replace(path string, synced bool, write func(to io.Writer) error) (Written, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return Written{}, err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	hash := sha256.New()
	if err := write(io.MultiWriter(temp, hash)); err != nil {
		return Written{}, err
	}
	size, err := temp.Seek(0, io.SeekCurrent)
	if err != nil {
		return Written{}, err
	}
	if err := temp.Chmod(0o644); err != nil {
		return Written{}, err
	}
	if synced {
		if err := temp.Sync(); err != nil {
			return Written{}, err
		}
	}
	if err := temp.Close(); err != nil {
		return Written{}, err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return Written{}, err
	}
	return Written{Path: path, Bytes: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}
