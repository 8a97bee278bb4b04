package coord

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests overlap than there are cores: most of the time they
// wait for the clients' timers.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
