package coord

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets more tests overlap than there are cores: most of the time they
// wait for the clients' timers.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "12")
	}
	removeStale()
	os.Exit(m.Run())
}

// removeStale removes what earlier runs left behind that were killed: their
// folders, whose names have the process id, and the servers that run there,
// which are told of no death since they gave up root.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "coord*-*"))
	for _, dir := range dirs {
		pid := 0
		fmt.Sscanf(filepath.Base(dir), "coord%d-", &pid)
		if pid == 0 || syscall.Kill(pid, 0) == nil {
			continue
		}
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, line := range lines {
			args, _ := os.ReadFile(line)
			left := 0
			fmt.Sscanf(line, "/proc/%d/", &left)
			if strings.Contains(string(args), dir+"/") && left > 1 {
				syscall.Kill(left, syscall.SIGKILL)
			}
		}
		os.RemoveAll(dir)
	}
}
