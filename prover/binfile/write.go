package binfile

import (
	"crypto/sha256"
	"encoding/hex"
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
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return Written{}, err
	}
	defer os.Remove(temp.Name())
	hash := sha256.New()
	var size int64
	for _, chunk := range chunks {
		if _, err := temp.Write(chunk); err != nil {
			temp.Close()
			return Written{}, err
		}
		hash.Write(chunk)
		size += int64(len(chunk))
	}
	if err := temp.Chmod(0o644); err != nil {
		temp.Close()
		return Written{}, err
	}
	if err := temp.Close(); err != nil {
		return Written{}, err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return Written{}, err
	}
	return Written{Path: path, Bytes: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}
