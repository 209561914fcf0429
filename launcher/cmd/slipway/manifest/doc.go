// Package manifest owns the reading of Kubernetes manifests: files, directories and standard
// input become typed objects, defaulted and validated by the API server's own code, or
// errors that say in which file and line what is wrong.
package manifest
