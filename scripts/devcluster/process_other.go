//go:build !linux

package devcluster

import "syscall"

// processAttributes gives a program its own process group, so that Ctrl-C
// reaches only us and we stop it in order. Only Linux can tie its life to ours.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
