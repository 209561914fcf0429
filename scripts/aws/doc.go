// Package aws owns what checks the templates in manifests/aws against the code: that the
// launcher may call what it calls and nothing else, and that names in them belong together.
package aws
