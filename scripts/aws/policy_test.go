package aws

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	services = "github.com/aws/aws-sdk-go-v2/service/"
	tag      = "slipway.dev/cluster"
)

// implied are the further actions that AWS authorizes a call by.
var implied = map[string][]string{
	"ec2:CreateFleet":              {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"},
	"ec2:CreateLaunchTemplate":     {"ec2:CreateTags"},
	"iam:AddRoleToInstanceProfile": {"iam:PassRole"},
	"iam:CreateInstanceProfile":    {"iam:TagInstanceProfile"},
}

// authorizedAs are actions that are named unlike their call.
var authorizedAs = map[string]string{"sqs:DeleteMessageBatch": "sqs:DeleteMessage"}

type statement struct {
	Sid       string
	Effect    string
	Action    any // a string or several
	Resource  any
	Condition map[string]map[string]any
}

func (s statement) actions() []string {
	if one, ok := s.Action.(string); ok {
		return []string{one}
	}
	var all []string
	for _, a := range s.Action.([]any) {
		all = append(all, a.(string))
	}
	return all
}

func launcherPolicy(t *testing.T) (raw []byte, statements []statement) {
	t.Helper()
	raw, err := json.Marshal(readTemplate(t).Resources["LauncherPolicy"].Properties["PolicyDocument"])
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Statement []statement }
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	return raw, document.Statement
}

// calls returns the API calls in the launcher's code, such as ec2:CreateFleet, with a place.
func calls(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join("..", "..", "launcher"), func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		imported := map[string]string{} // the service by the name of its package here
		for _, i := range file.Imports {
			at, err := strconv.Unquote(i.Path.Value)
			if service, ok := strings.CutPrefix(at, services); ok && err == nil && !strings.Contains(service, "/") {
				local := path.Base(at)
				if i.Name != nil {
					local = i.Name.Name
				}
				imported[local] = service
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && imported[x.Name] != "" {
					if operation, ok := strings.CutSuffix(s.Sel.Name, "Input"); ok {
						found[imported[x.Name]+":"+operation] = files.Position(n.Pos()).String()
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestPolicyAllowsWhatIsCalled: every call that the code makes is allowed, and no other.
func TestPolicyAllowsWhatIsCalled(t *testing.T) {
	allowed := map[string]bool{}
	_, statements := launcherPolicy(t)
	for _, s := range statements {
		if s.Effect != "Allow" {
			t.Errorf("%s: effect %s", s.Sid, s.Effect)
		}
		for _, a := range s.actions() {
			if strings.Contains(a, "*") {
				t.Errorf("%s: %s names no single action", s.Sid, a)
			}
			allowed[a] = true
		}
	}
	needed := map[string]string{}
	for call, at := range calls(t) {
		if other := authorizedAs[call]; other != "" {
			call = other
		}
		for _, action := range append(implied[call], call) {
			needed[action] = at
		}
	}
	if needed["ec2:CreateFleet"] == "" {
		t.Error("CreateFleet was not found in the code")
	}
	for _, action := range slices.Sorted(maps.Keys(needed)) {
		if !allowed[action] {
			t.Errorf("%s is needed at %s: allow it in manifests/aws/cloudformation.yaml", action, needed[action])
		}
	}
	for _, action := range slices.Sorted(maps.Keys(allowed)) {
		if needed[action] == "" {
			t.Errorf("%s is allowed, and nothing calls it", action)
		}
	}
}

// TestPolicyIsScoped: what changes anything is allowed for the cluster's own things alone,
// but for those that are listed here.
func TestPolicyIsScoped(t *testing.T) {
	others := map[string]string{
		"LaunchFromOthers":    "images, networks and reservations that instances are made of",
		"GiveNodesTheirRole":  "the one role",
		"HearOfInterruptions": "the one queue",
	}
	_, statements := launcherPolicy(t)
	for _, s := range statements {
		reads := !slices.ContainsFunc(s.actions(), func(a string) bool {
			_, operation, _ := strings.Cut(a, ":")
			return !strings.HasPrefix(operation, "Describe") && !strings.HasPrefix(operation, "Get") &&
				!strings.HasPrefix(operation, "List") && !strings.HasPrefix(operation, "Decode")
		})
		if reads {
			continue
		}
		if s.Resource == "*" {
			t.Errorf("%s: every resource may be changed", s.Sid)
		}
		scoped := false
		for key := range s.Condition["StringEquals"] {
			scoped = scoped || strings.HasSuffix(key, "Tag/"+tag)
		}
		if scoped == (others[s.Sid] != "") {
			t.Errorf("%s: the condition on the tag %s is there: %t", s.Sid, tag, scoped)
		}
	}
}

// TestLaunchedIsTagged: the launcher tags each kind of thing that it may launch with its tag only.
func TestLaunchedIsTagged(t *testing.T) {
	code, err := os.ReadFile(filepath.Join("..", "..", "launcher", "cloud", "ec2", "launch.go"))
	if err != nil {
		t.Fatal(err)
	}
	var tagged []string
	for _, m := range regexp.MustCompile(`\{ResourceType: types\.ResourceType(\w+), Tags: tags\}`).FindAllStringSubmatch(string(code), -1) {
		words := regexp.MustCompile(`[A-Z][a-z]+`).FindAllString(m[1], -1)
		tagged = append(tagged, strings.ToLower(strings.Join(words, "-")))
	}
	_, statements := launcherPolicy(t)
	i := slices.IndexFunc(statements, func(s statement) bool { return s.Sid == "LaunchOwn" })
	var launched []string
	for _, r := range statements[i].Resource.([]any) {
		arn := r.(map[string]any)["Fn::Sub"].(string)
		launched = append(launched, path.Base(path.Dir(arn[strings.LastIndex(arn, ":")+1:])))
	}
	slices.Sort(tagged)
	slices.Sort(launched)
	if diff := cmp.Diff(tagged, launched); diff != "" {
		t.Errorf("kinds (-tagged +launched):\n%s", diff)
	}
}

// TestPolicyFits: IAM takes 6,144 characters, white space aside; names take their share.
func TestPolicyFits(t *testing.T) {
	raw, _ := launcherPolicy(t)
	long := strings.NewReplacer(
		"${AWS::Partition}", "aws-us-gov", "${AWS::Region}", "ap-southeast-2", "${AWS::AccountId}", strings.Repeat("1", 12),
		"${AWS::URLSuffix}", "amazonaws.com", "${ClusterName}", strings.Repeat("c", 50), `{"Ref":"ClusterName"}`, strings.Repeat("c", 52),
	).Replace(string(raw))
	if n := len(long); n > 6144 {
		t.Errorf("the policy has %d characters", n)
	}
}
