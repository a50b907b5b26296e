// The mounts of a snapshot, to the byte and in the kernel.
package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/containerd/containerd/api/types"
)

// chain makes names[0] ← names[1] ← …, each with a file of its own name.
func (s *side) chain(prefix string, length int) []string {
	s.t.Helper()
	var names []string
	parent := ""
	for i := 1; i <= length; i++ {
		name := fmt.Sprintf("%s%d", prefix, i)
		s.committed(name, parent, func(directory string) { write(s.t, filepath.Join(directory, name), name) })
		names = append(names, name)
		parent = name
	}
	return names
}

func askMounts(s *side) {
	chain := s.chain("c", 200)
	both := func(question, key string, create func(key, parent string, labels ...string) ([]*types.Mount, error), parent string) {
		mounts, err := create(key, parent)
		s.show(question, mounts, err)
		again, err := s.mounts(key)
		s.must(err)
		text := "the same"
		if fmt.Sprint(again) != fmt.Sprint(mounts) {
			text = fmt.Sprint(again)
		}
		s.answer(question+", asked again by Mounts", text)
	}
	both("Prepare without parent", "active0", s.prepare, "")
	both("View without parent", "view0", s.view, "")
	for _, depth := range []int{1, 2, 3, 127, 128, 129, 200} {
		parents := fmt.Sprintf("%d parents", depth)
		if depth == 1 {
			parents = "one parent"
		}
		both("Prepare over "+parents, fmt.Sprintf("active%d", depth), s.prepare, chain[depth-1])
		both("View of "+parents, fmt.Sprintf("view%d", depth), s.view, chain[depth-1])
	}
	same := func(directory string) { write(s.t, filepath.Join(directory, "file"), "the same") }
	s.committed("same1", "", same)
	s.committed("same2", "same1", same)
	s.committed("same3", "same2", same)
	both("Prepare over the same content three times", "active-same", s.prepare, "same3")
	both("View of the same content three times", "view-same", s.view, "same3")
	s.committed("empty1", "", nil)
	s.committed("empty2", "empty1", nil)
	both("Prepare over two empty layers", "active-empty", s.prepare, "empty2")
	both("View of two empty layers", "view-empty", s.view, "empty2")
	mounts, err := s.prepare("empty key.with:strange,signs", "c1")
	s.show("Prepare of a key with colon and comma", mounts, err)
	s.must(s.remove("active3"))
	mounts, err = s.prepare("active3", "c3")
	s.show("Prepare of a key that was removed", mounts, err)
}

// tree lists what is below a directory: names, kinds, modes, owners and contents.
func tree(root string) string {
	var lines []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		owner := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%s %s %d:%d", name, info.Mode(), owner.Uid, owner.Gid)
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(content)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		lines = append(lines, err.Error())
	}
	sort.Strings(lines)
	return strings.Join(lines, ", ")
}

// modes tells mode and owner of the directories that a snapshot's mounts name as its own.
func (s *side) modes(question, key string) {
	mounts, err := s.mounts(key)
	s.must(err)
	own := ownDirectory(mounts)
	var lines []string
	for _, path := range []string{own, filepath.Join(filepath.Dir(own), "work")} {
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		s.must(err)
		owner := info.Sys().(*syscall.Stat_t)
		lines = append(lines, fmt.Sprintf("%s %s %d:%d", filepath.Base(path), info.Mode(), owner.Uid, owner.Gid))
	}
	s.answer(question, strings.Join(lines, ", "))
}

func errnoOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return fmt.Sprint(err)
}

func askMounted(s *side) {
	old := syscall.Umask(0022)
	defer syscall.Umask(old)
	_, err := s.prepare("root", "")
	s.must(err)
	s.modes("the directories of Prepare without parent", "root")
	_, err = s.view("empty view", "")
	s.must(err)
	s.modes("the directory of View without parent", "empty view")
	s.must(os.Chown(s.ownOf("root"), 1234, 4321))
	s.must(os.Chmod(s.ownOf("root"), 0700))
	s.must(s.commit("owned", "root"))
	_, err = s.prepare("child", "owned")
	s.must(err)
	s.modes("those of Prepare over a root of 1234:4321, mode 0700", "child")

	// A layer in each of the ways in which the kernel can change what is below it.
	s.committed("base", "", func(directory string) {
		for _, name := range []string{"kept", "changed", "deleted", "dir/kept", "dir/deleted", "replaced/below", "file"} {
			write(s.t, filepath.Join(directory, name), "base")
		}
	})
	mounts, err := s.prepare("changing", "base")
	s.must(err)
	s.mounted(mounts, func(directory string) {
		at := func(name string) string { return filepath.Join(directory, name) }
		write(s.t, at("changed"), "changed")
		write(s.t, at("added"), "added")
		for _, name := range []string{"deleted", "dir/deleted", "file"} {
			s.must(os.Remove(at(name)))
		}
		s.must(os.RemoveAll(at("replaced")))
		write(s.t, at("replaced/new"), "new")
		write(s.t, at("file/now-a-directory"), "new")
		s.must(os.Link(at("kept"), at("linked")))
		s.must(os.Chown(at("dir/kept"), 7, 8))
		// Committed while it is mounted, as containerd's own clients may.
		s.must(s.commit("changed", "changing"))
	})
	for _, parent := range []string{"base", "changed"} {
		mounts, err = s.view("view of "+parent, parent)
		s.must(err)
		s.mounted(mounts, func(directory string) {
			s.answer("the tree of a View of "+parent, tree(directory))
			err := os.WriteFile(filepath.Join(directory, "written"), nil, 0644)
			s.answer("writing to a View of "+parent, errnoOf(err))
		})
	}
	s.mounted(s.mountsFor("empty view"), func(directory string) {
		err := os.WriteFile(filepath.Join(directory, "written"), nil, 0644)
		s.answer("writing to a View without parent", errnoOf(err))
	})

	chain := s.chain("c", 200)
	for _, depth := range []int{128, 129, 200} {
		key := fmt.Sprint("deep", depth)
		mounts, err := s.prepare(key, chain[depth-1])
		s.must(err)
		s.mounted(mounts, func(directory string) {
			write(s.t, filepath.Join(directory, "written"), "written")
			names, err := os.ReadDir(directory)
			s.must(err)
			s.answer(fmt.Sprintf("files in an active over %d parents, and one written", depth), fmt.Sprint(len(names)))
		})
	}
	same := func(directory string) { write(s.t, filepath.Join(directory, "file"), "the same") }
	s.committed("same1", "", same)
	s.committed("between", "same1", func(directory string) { write(s.t, filepath.Join(directory, "file"), "other") })
	s.committed("same2", "between", same)
	s.committed("empty1", "same2", nil)
	s.committed("empty2", "empty1", nil)
	mounts, err = s.view("same view", "empty2")
	s.must(err)
	s.mounted(mounts, func(directory string) {
		s.answer("the tree of a View of a layer, another, the same again, and two empty ones", tree(directory))
	})
}

func (s *side) mountsFor(key string) []*types.Mount {
	s.t.Helper()
	mounts, err := s.mounts(key)
	s.must(err)
	return mounts
}

func (s *side) ownOf(key string) string { return ownDirectory(s.mountsFor(key)) }
