package devcluster

import "syscall"

// processAttributes gives a program its own process group, so that Ctrl-C
// reaches only us and we stop it in order, and has the kernel kill it when we die.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
