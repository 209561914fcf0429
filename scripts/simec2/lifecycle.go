package simec2

import (
	"container/heap"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// launchSpec is what one instance is launched from.
type launchSpec struct {
	typ          InstanceType
	subnet       *subnet
	capacityType string
	imageID      string
	template     *launchTemplate
	version      int64
	data         templateData
	fleetID      string
	clientToken  string
	reservation  string
	tags         map[string]string
}

// launch starts one instance; the caller has checked that there is room.
func (r *region) launch(spec launchSpec, now time.Time) *machine {
	addr := spec.subnet.takeAddress()
	nominal := spec.typ.MemoryMiB
	img, _ := r.resolveImage(spec.imageID) // was found before
	nominal -= int64(float64(nominal) * r.shrunk[spec.typ.Name] / 100)
	m := &machine{
		Instance: Instance{
			ID: r.id("i-"), State: StatePending, Type: spec.typ,
			Zone: spec.subnet.zone, ZoneID: spec.subnet.zoneID, SubnetID: spec.subnet.id,
			CapacityType: spec.capacityType, Price: r.price(spec.typ, spec.subnet.zone, spec.capacityType, now),
			ImageID: spec.imageID, PrivateIP: addr.String(), PrivateDNS: r.privateDNS(addr),
			MemoryMiB: visibleMiB(nominal, spec.typ.BareMetal), VolumeGiB: spec.data.rootGiB(img.os), OS: img.os,
			Monitored: spec.data.monitored, PublicIP: spec.data.publicIP, Prefixes: spec.data.prefixes,
			Interfaces: spec.data.interfaces,
			UserData:   spec.data.userData,
			Tags: map[string]string{
				"aws:ec2:fleet-id":              spec.fleetID,
				"aws:ec2launchtemplate:id":      spec.template.id,
				"aws:ec2launchtemplate:version": strconv.FormatInt(spec.version, 10),
			},
			ClientToken: spec.clientToken, FleetID: spec.fleetID,
			LaunchTemplateID: spec.template.id, LaunchTemplateVersion: spec.version, LaunchTime: now,
		},
		reservationID: spec.reservation,
		targetID:      spec.data.targetID,
		securityGroup: spec.data.securityGroups,
		profileARN:    r.profileARN(spec.data.profile),
		hopLimit:      spec.data.hopLimit,
		httpTokens:    spec.data.httpTokens,
		visibleAt:     now.Add(*r.cfg.ReadLag),
		heapIndex:     -1,
	}
	maps.Copy(m.Tags, spec.data.tags["instance"])
	maps.Copy(m.Tags, spec.tags)
	m.seenTags = maps.Clone(m.Tags)
	r.machines[m.ID] = m
	r.order = append(r.order, m)
	r.occupy(m, spec.data, now)
	r.schedule.next(m, now.Add(r.cfg.BootDelay))
	r.notifyState(m, now)
	r.log("instance launched", m, slog.String("fleet", spec.fleetID))
	return m
}

// occupy counts the machine in its capacity reservation, if it runs in one, else in its pool.
func (r *region) occupy(m *machine, data templateData, now time.Time) {
	if m.CapacityReservationID = data.targetID; m.targetID == "" && m.CapacityType == OnDemand {
		m.CapacityReservationID = r.openReservation(data, m.Type.Name, m.Zone, now)
	}
	if m.CapacityReservationID == "" {
		r.capacity.take(m.pool())
	}
}

func (m *machine) pool() poolKey { return poolKey{m.Type.Name, m.Zone, m.CapacityType} }

// terminate begins the shutdown; it does nothing to an instance that is on its
// way out.
func (r *region) terminate(m *machine, reason string, now time.Time) {
	if m.State == StateShuttingDown || m.State == StateTerminated {
		return
	}
	m.State = StateShuttingDown
	m.TerminationReason = reason
	r.schedule.next(m, now.Add(r.cfg.ShutdownDelay))
	r.notifyState(m, now)
	r.log("instance shutting down", m, slog.String("reason", reason))
}

// advance makes every transition that is due by now and tells whether there
// was one.
func (r *region) advance(now time.Time) bool {
	moved := false
	for len(r.schedule) > 0 && !r.schedule[0].due.After(now) {
		m := heap.Pop(&r.schedule).(*machine)
		moved = true
		switch m.State {
		case StatePending:
			m.State = StateRunning
			m.due = time.Time{}
			r.notifyState(m, now)
			r.log("instance running", m)
			if !m.endsAt.IsZero() {
				r.schedule.next(m, m.endsAt)
			}
		case StateRunning:
			r.terminate(m, m.endReason, now)
		case StateShuttingDown:
			m.State = StateTerminated
			if m.CapacityReservationID == "" {
				r.capacity.giveUp(m.pool())
			}
			r.subnetByID(m.SubnetID).returnAddress(netip.MustParseAddr(m.PrivateIP))
			r.schedule.next(m, m.due.Add(r.cfg.TerminatedRetention))
			r.notifyState(m, now)
			r.log("instance terminated", m)
		case StateTerminated:
			delete(r.machines, m.ID)
			r.order = slices.DeleteFunc(r.order, func(o *machine) bool { return o == m })
		}
	}
	return moved
}

// nextDue is the time of the next transition, zero when nothing is scheduled.
func (r *region) nextDue() time.Time {
	if len(r.schedule) == 0 {
		return time.Time{}
	}
	return r.schedule[0].due
}

// tag adds tags that Describe calls show after the read lag.
func (r *region) tag(m *machine, tags map[string]string, now time.Time) {
	maps.Copy(m.Tags, tags)
	m.pendingTags = append(m.pendingTags, laggedTags{at: now.Add(*r.cfg.ReadLag), tags: maps.Clone(tags)})
}

func (r *region) log(msg string, m *machine, more ...any) {
	r.cfg.Logger.Info(msg, append([]any{
		slog.String("instance", m.ID), slog.String("type", m.Type.Name), slog.String("zone", m.Zone),
		slog.String("capacityType", m.CapacityType), slog.Float64("price", m.Price),
	}, more...)...)
}
