// Package chart owns what checks the Helm chart in manifests/chart without Helm, on the
// renderings that are committed in manifests/rendered. Its commands make them (render), and
// the schemas that they are held against (schemas).
package chart
