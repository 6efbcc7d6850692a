// Package keys makes, stores and loads the keys of circuits.
//
// A store is a directory, <circuit id>/<set-up id>/{cs,pk,vk,manifest.json}, with a file `current` beside the set-ups
// that names the one in use. The circuit id is the SHA-256 of cs, the set-up id that of vk. Every set-up is complete
// when its directory appears: it is written under another name, synced and renamed, under a lock that one process
// holds at a time. cs and vk are hashed whenever they are read; pk, up to gigabytes, is checked by its size and the ids
// inside it, and hashed when a proof made with it turns out wrong. It is mapped into memory, not read.
package keys
