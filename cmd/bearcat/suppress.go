package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/suppress"
	"github.com/bearcat-hids/bearcat/rules"
	"github.com/spf13/cobra"
)

func rulesSuppressCommand() *cobra.Command {
	var file, from string
	var paths []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "suppress ALERT-ID", Short: "write the exception that silences an alert",
		Long: `Writes an exception for the rule of an alert, in Falco's language, that holds
only where program, command line, parent, user, container and target are those
of the alert; comments say what it is for and how to widen it. It is tried
before it is written: it has to compile, and the alert has to be silent with it.
The alert is asked of the running agent, or with --from read from a file of its
JSON output.

With --file it is put behind what the file holds, and the agent has to be
started again with that file among its rules; without, it is printed.`,
		Example: `  bearcat rules suppress 3f2a9c01d4e7
  bearcat rules suppress 3f2a9c01d4e7 --file /etc/bearcat/exceptions.yaml
  bearcat rules suppress 3f2a9c01d4e7 --from alerts.jsonl --rules my.yaml`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	socket := socketFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&file, "file", "", "put the exception into `FILE`, behind what it holds")
	fl.StringVar(&from, "from", "", "read the alert from `FILE`, which holds JSON lines, in place of asking the agent")
	fl.StringArrayVar(&paths, "rules", nil, "the agent's rules, where they are not the shipped ones: a `FILE` or directory; may be repeated")
	fl.BoolVar(&asJSON, "json", false, "print the exception as one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		line, err := alertLine(from, *socket, args[0])
		if err != nil {
			return err
		}
		files, err := ruleFiles(paths)
		if err != nil {
			return err
		}
		existing := rule.File{Name: "exception"}
		if file != "" {
			if existing, err = existingRules(file); err != nil {
				return err
			}
			files = without(files, file)
		}
		res, err := suppress.Exception(line, files, existing)
		if err != nil {
			return err
		}
		if file != "" {
			if err := replaceFile(file, suppress.Append(existing.Data, res.Text)); err != nil {
				return err
			}
		}
		out := cmd.OutOrStdout()
		switch {
		case asJSON:
			return json.NewEncoder(out).Encode(res)
		case file != "":
			_, err = fmt.Fprintf(out, "%s now holds the exception %q of rule %q; start the agent again with --rules %s behind its other rules\n",
				file, "alert_"+res.ID, res.Rule, file)
		default:
			_, err = io.WriteString(out, res.Text)
		}
		return err
	}
	return cmd
}

// ruleFiles reads rule files and directories; without any, the shipped pack.
func ruleFiles(paths []string) ([]rule.File, error) {
	if len(paths) == 0 {
		return rules.Files()
	}
	var out []rule.File
	for _, p := range paths {
		files, err := readRules(p)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, nil
}

// without leaves out a file that stands among the rules already.
func without(files []rule.File, path string) []rule.File {
	var out []rule.File
	for _, f := range files {
		if filepath.Clean(f.Name) != filepath.Clean(path) {
			out = append(out, f)
		}
	}
	return out
}

// alertLine finds an alert's JSON.
func alertLine(from, socket, id string) ([]byte, error) {
	if from == "" {
		k, err := askAlert(socket, id)
		if err != nil {
			return nil, err
		}
		if len(k.Alert) == 0 {
			return nil, fmt.Errorf("alert %s is too large to be kept whole: take it from the agent's JSON output with --from", k.ID)
		}
		return k.Alert, nil
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, fmt.Errorf("reading the alert: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 32<<20)
	for sc.Scan() {
		var a struct {
			Type  string          `json:"type"`
			ID    string          `json:"id"`
			Event json.RawMessage `json:"event"`
		}
		if json.Unmarshal(sc.Bytes(), &a) == nil && a.Type == "alert" && len(a.Event) > 0 && len(id) >= 4 && strings.HasPrefix(a.ID, id) {
			return sc.Bytes(), nil
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading the alert from %s: %w", from, err)
	}
	return nil, fmt.Errorf("%s holds no alert whose ID begins with %q: IDs have at least four characters here, and stand as \"id\" in the JSON output", from, id)
}

// existingRules reads the file that is to take the exception, if it is there.
func existingRules(path string) (rule.File, error) {
	f := rule.File{Name: path}
	b, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	f.Data = b
	return f, err
}

// replaceFile puts a file in the place of another whole, or not at all, with the
// rights that it had.
func replaceFile(path string, data []byte) error {
	mode := fs.FileMode(0o600)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".bearcat-*")
	if err != nil {
		return fmt.Errorf("writing the exception: %w", err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("writing the exception: %w", err)
	}
	return nil
}
