package commands

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

func newServeKey(app *App) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "key NAME --file FILE",
		Short: "Make an API key for serve",
		Long: `Make an API key for serve.

The key, 256 random bits, is printed on stdout, once: only its SHA-256 is kept, in
a line that is appended to FILE. NAME says who uses it; it goes into the header
"client" of each order's record. Several keys may have one name: to rotate, make
a second one, hand it out, then delete the first one's line. A serve that runs
takes up both changes within seconds.`,
		Example: `  ordersctl serve key shop --file keys.txt
  ordersctl serve key shop --file keys.txt > shop.key
  ordersctl serve --api-keys-file keys.txt`,
		Args: exactly(1, "the NAME of who uses the key"),
		RunE: func(_ *cobra.Command, args []string) error {
			if file == "" {
				return usageError("name the file with --file: it is made where it is missing", "no file to keep the key's line in")
			}
			return runServeKey(app, args[0], file)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "file of API keys (serve.api-keys-file)")
	return cmd
}

func runServeKey(app *App, name, file string) error {
	if err := ingest.ValidateKeyName(name); err != nil {
		return usageError("", "%s", err)
	}
	key, err := ingest.AddKey(file, name)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(app.Out, key); err != nil {
		// Also where the reader of a pipe has gone, which is no fault elsewhere:
		// nobody has this key.
		sum := sha256.Sum256([]byte(key))
		return failed(fmt.Sprintf("delete its line from %s: it begins with %s:%x", filepath.Clean(file), name, sum[:4]),
			"print the key of %q, which is lost: %s", name, err)
	}
	app.say("the key of %q is above, this once; its SHA-256 is the last line of %s", name, filepath.Clean(file))
	app.say("clients send it as      Authorization: Bearer KEY")
	app.say("serve asks for it with  --api-keys-file %s (one that runs with this file takes it within seconds)", filepath.Clean(file))
	return nil
}
