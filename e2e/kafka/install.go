//go:build unix

package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed pom.xml
var pom []byte

// Classpath of Kafka's jars, for scripts that run its tools by themselves. The jars are fetched from Maven Central the
// first time and kept in the user's cache folder, under a name that changes with pom.xml.
func Classpath(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(pom)
	dir := filepath.Join(cache, "ordersctl", "kafka-"+Version, fmt.Sprintf("jars-%x", sum[:4]))
	if err := install(ctx, dir); err != nil {
		return "", fmt.Errorf("install kafka %s: %w", Version, err)
	}
	return filepath.Join(dir, "*"), nil
}

// install fills dir in one step: what has the name is whole. The lock spares a second process the download.
func install(ctx context.Context, dir string) error {
	if exists(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	lock, err := waitLock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if exists(dir) {
		return nil
	}
	tmp, err := os.MkdirTemp(parent, "install-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	pomFile, jars := filepath.Join(tmp, "pom.xml"), filepath.Join(tmp, "jars")
	if err := os.WriteFile(pomFile, pom, 0o600); err != nil {
		return err
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("find mvn: %w; install Maven (Debian: maven) or run .ci/run tools", err)
	}
	cmd := exec.CommandContext(ctx, mvn, "--quiet", "--batch-mode", "--strict-checksums", "--file", pomFile,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+jars)
	ownGroup(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w\n%s", err, out)
	}
	return os.Rename(jars, dir)
}

// findJava prefers JAVA_HOME, as Kafka's own scripts do.
func findJava() (string, error) {
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	path, err := exec.LookPath(java)
	if err != nil {
		return "", fmt.Errorf("find java: %w; install Java 17 or newer (Debian: default-jdk-headless) or run .ci/run tools", err)
	}
	return path, nil
}

func waitLock(ctx context.Context, path string) (*os.File, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		lock, err := tryLock(path)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another install, %s: %w", path, ctx.Err())
		case <-tick.C:
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
