// What a snapshot takes of the disk.
package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func askUsage(s *side) {
	tell := func(question, key string) {
		usage, err := s.usage(key)
		if err != nil {
			s.code(question, err)
			return
		}
		s.answer(question, fmt.Sprintf("%d bytes, %d inodes", usage.Size_, usage.Inodes))
	}
	with := func(question string, fill func(at func(string) string)) {
		key := fmt.Sprint("key ", len(s.answers))
		mounts, err := s.prepare(key, "")
		s.must(err)
		own := ownDirectory(mounts)
		fill(func(name string) string { return filepath.Join(own, name) })
		tell(question, key)
		s.must(s.commit("committed "+key, key))
		tell(question+", committed", "committed "+key)
	}
	with("nothing", func(func(string) string) {})
	with("a file of 100,000 bytes", func(at func(string) string) { write(s.t, at("file"), strings.Repeat("x", 100000)) })
	with("an empty file", func(at func(string) string) { write(s.t, at("file"), "") })
	with("a file with three names", func(at func(string) string) {
		write(s.t, at("file"), strings.Repeat("x", 100000))
		s.must(os.Link(at("file"), at("again")))
		s.must(os.Mkdir(at("dir"), 0755))
		s.must(os.Link(at("file"), at("dir/once-more")))
	})
	with("two names of a symlink", func(at func(string) string) {
		s.must(os.Symlink(strings.Repeat("target/", 100), at("link")))
		s.must(os.Link(at("link"), at("again")))
	})
	with("a sparse file of 1 GiB with 4 KiB at its end", func(at func(string) string) {
		file, err := os.Create(at("sparse"))
		s.must(err)
		_, err = file.WriteAt(make([]byte, 4096), 1<<30)
		s.must(err)
		s.must(file.Close())
	})
	with("a file that is a hole", func(at func(string) string) {
		write(s.t, at("hole"), "")
		s.must(os.Truncate(at("hole"), 1<<30))
	})
	with("directories ten deep", func(at func(string) string) { s.must(os.MkdirAll(at(strings.Repeat("d/", 10)), 0755)) })
	with("a fifo, a device, a whiteout, a socket's name", func(at func(string) string) {
		s.must(syscall.Mkfifo(at("fifo"), 0644))
		s.must(syscall.Mknod(at("null"), syscall.S_IFCHR|0666, 1<<8|3))
		s.must(syscall.Mknod(at("whiteout"), syscall.S_IFCHR, 0))
		s.must(syscall.Mknod(at("socket"), syscall.S_IFSOCK|0644, 0))
	})
	with("names that are no UTF-8", func(at func(string) string) { write(s.t, at("\xff\xfe/\x80"), "x") })
	with("a directory that nobody may read", func(at func(string) string) {
		write(s.t, at("shut/file"), strings.Repeat("x", 5000))
		s.must(os.Chmod(at("shut"), 0))
	})

	s.committed("base", "", func(directory string) { write(s.t, filepath.Join(directory, "big"), strings.Repeat("x", 1000000)) })
	_, err := s.prepare("child", "base")
	s.must(err)
	tell("an active counts nothing of its parent", "child")
	s.must(s.commit("empty child", "child"))
	tell("nor does a committed", "empty child")
	tell("a parent is what it was", "base")
	_, err = s.view("view", "base")
	s.must(err)
	tell("a view of a committed", "view")
	_, err = s.view("empty view", "")
	s.must(err)
	tell("a view of nothing", "empty view")
	mounts, err := s.prepare("changing", "base")
	s.must(err)
	s.mounted(mounts, func(directory string) {
		s.must(os.Chmod(filepath.Join(directory, "big"), 0600))
		tell("copied up by the kernel, while it is mounted", "changing")
		s.must(os.Remove(filepath.Join(directory, "big")))
	})
	tell("deleted by the kernel: a whiteout", "changing")
	s.must(s.commit("changed", "changing"))
	tell("the same, committed", "changed")
	s.must(s.remove("view"))
	tell("a view that was removed", "view")
}
