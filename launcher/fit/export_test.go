package fit

import fwk "k8s.io/kube-scheduler/framework"

// Devices is what the engine's plugins are told of devices and claims.
func (e *Engine) Devices() fwk.SharedDRAManager { return e.devices }
