#include "train/cost_model.h"

#include <algorithm>

#include "shard/slots.h"
#include "train/collective_cost.h"

namespace rk {
namespace {

constexpr int kSteps = 3;                               // simulated; the last is one of many
constexpr double kAdamWBytes = 28, kGradientBytes = 4;  // of fp32 state a parameter: read g, p, m, v, written p, m, v

// Seconds of one visit by kind.
struct VisitCost {
  double products = 0, wkv = 0, element_wise = 0;
  double total() const { return products + wkv + element_wise; }
};

VisitCost cost_of(const ComputeRates& rates, const std::vector<OpCall>& calls) {
  VisitCost c;
  for (const OpCall& call : calls) {
    const OpKind kind = kind_of(call.op);
    (kind == OpKind::product ? c.products : kind == OpKind::wkv ? c.wkv : c.element_wise) += op_seconds(rates, call);
  }
  return c;
}

// A queue's clock: when what was put on it is done.
struct Queue {
  double free = 0;
  double put(double ready, double seconds) { return free = std::max(free, ready) + seconds; }
};

// Follows a plan as Runner and Shards do, on clocks.
class Simulation {
 public:
  Simulation(const StepRecord& record, const RunPlan& run, const RunPlace& place, const MachineRates& machine)
      : run_(run),
        layout_(run.layout),
        sharding_(run.shards.sharding),
        rates_(machine.compute),
        links_(machine.links),
        narrow_(static_cast<double>(size_of(run.shards.dtype))),
        travels_(travels_narrow(place.n_ranks, run.shards)),
        sent_(travels_ ? 2 : static_cast<double>(size_of(acc_dtype(run.shards.dtype)))),
        n_visits_(record.plan.size()) {
    for (const auto& calls : record.visits) visits_.push_back(cost_of(rates_, calls));
    const int in_node = std::max(1, place.n_ranks / place.n_nodes);
    world_ = {.size = place.n_ranks, .nodes = place.n_nodes};
    if (run.shards.node >= 0) {
      group_ = {.size = in_node};
      replicas_ = {.size = place.n_nodes, .nodes = place.n_nodes, .beside = in_node};
    } else {
      group_ = world_;
    }
    on_host_ = 1.0 / in_node;  // of the host's bandwidth
    host_adamw_ = machine.host.adamw;
    host_copy_ = machine.host.copy;
    const auto n_units = static_cast<size_t>(layout_.n_units());
    arrives_.resize(layout_.buckets.size());
    uploaded_.resize(layout_.buckets.size());
    pending_up_.assign(n_units, false);
    weight_slots_.resize(sharding_.params ? static_cast<size_t>(n_weight_slots(layout_, run.shards)) : 0);
    grad_slots_.resize(sharding_.grads || travels_ ? kGradSlots : 0);
  }

  StepCost run() {
    double begin = 0;
    for (int i = 0; i < kSteps; ++i) {
      cost_ = {};
      begin = now_;
      step();
    }
    cost_.seconds = now_ - begin;
    return cost_;
  }

 private:
  struct WeightSlot {
    int unit = -1;
    bool in_use = false, waits = false;  // waits: the host still computes the weights
    double arrives = 0;
  };
  struct Arrival {
    double at = 0;
    double seconds = 0;     // of what is then done with it
    double over_nodes = 0;  // bytes of the completed sum, which the nodes then add up
  };
  struct GradSlot {
    int unit = -1;
    bool in_use = false;
    double taken = 0;  // by the host
    std::vector<Arrival> arrivals;
  };

  bool offloads() const { return run_.shards.offload_state; }
  size_t begin_of(int unit) const { return layout_.first_bucket[static_cast<size_t>(unit)]; }
  size_t end_of(int unit) const { return layout_.first_bucket[static_cast<size_t>(unit) + 1]; }
  size_t end_of_trained(int unit) const { return layout_.first_frozen[static_cast<size_t>(unit)]; }
  bool has_grads(int unit) const { return begin_of(unit) < end_of_trained(unit); }
  double streamed(const char* op, double n_bytes) const { return op_seconds(rates_, {op, n_bytes, 0, {}}); }

  // Computation goes slower beside collectives.
  void compute(double seconds, double& kind) {
    kind += seconds;
    const double busy_until = std::max({gradients_.free, weights_.free, sums_.free});
    const double slow = 1 + links_.slowdown;
    const double beside = std::clamp(busy_until - now_, 0.0, seconds * slow);
    cost_.slowdown += beside - beside / slow;
    now_ += seconds + beside - beside / slow;
  }
  void wait(double until, double& exposed) {
    exposed += std::max(0.0, until - now_);
    now_ = std::max(now_, until);
  }

  // Collectives share the links: bytes of one go behind those of another, latencies beside them.
  double collective(Queue& queue, double ready, Collective what, double n_bytes, const RankGroup& group) {
    const CollectiveCost c = collective_cost(links_, what, n_bytes, group);
    if (c.total() == 0) return ready;
    cost_.communication += c.total();
    Queue& link = group.across() ? network_ : inside_;
    const double begin = std::max(queue.free, ready);
    queue.free = link.put(begin + c.latency, c.transfer);
    return queue.free;
  }

  // Shards::gather
  double gather(int unit) {
    double there = now_, arrives = now_;
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
      const double n = static_cast<double>(layout_.buckets[b].n), shard = static_cast<double>(layout_.buckets[b].shard);
      if (offloads()) there = std::max(there, uploaded_[b]);
      if (run_.shards.offload_params) there = up_.put(there, shard * narrow_ / rates_.up);
      arrives = std::max(there, collective(weights_, there, Collective::all_gather, n * narrow_, group_));
    }
    pending_up_[static_cast<size_t>(unit)] = false;
    return arrives;
  }
  WeightSlot* slot_of(int unit) {
    for (WeightSlot& s : weight_slots_)
      if (s.unit == unit) return &s;
    return nullptr;
  }
  WeightSlot& free_slot(const std::vector<int>& upcoming) {
    for (WeightSlot& s : weight_slots_)
      if (!s.in_use && std::find(upcoming.begin(), upcoming.end(), s.unit) == upcoming.end()) return s;
    return weight_slots_.front();
  }

  void acquire(int unit) {
    const auto u = static_cast<size_t>(unit);
    if (sharding_.params) {
      WeightSlot* slot = slot_of(unit);
      if (!slot) *(slot = &free_slot({})) = {unit, false, true};
      if (slot->waits) {
        wait_for_host(unit);
        *slot = {unit, false, false, gather(unit)};
      }
      slot->in_use = true;
      return wait(slot->arrives, cost_.exposed_weights);
    }
    if (offloads() && pending_up_[u]) {
      wait_for_host(unit);
      send_weights(unit, end_of(unit));
      pending_up_[u] = false;
    }
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) wait(arrives_[b], cost_.exposed_weights);
  }
  void wait_for_host(int unit) {
    if (!offloads() || !pending_up_[static_cast<size_t>(unit)]) return;
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) wait(uploaded_[b], cost_.exposed_offload);
  }
  void prefetch(const std::vector<int>& upcoming) {
    bool goes_on = true;
    for (int unit : upcoming) {
      WeightSlot* slot = slot_of(unit);
      if (!slot) *(slot = &free_slot(upcoming)) = {unit, false, true};
      if (!slot->waits) continue;
      goes_on = goes_on && !(pending_up_[static_cast<size_t>(unit)] && uploaded_[end_of(unit) - 1] > now_);
      if (goes_on) *slot = {unit, false, false, gather(unit)};
    }
  }
  // The next units after visit i, each once, as the Runner asks for them.
  std::vector<int> upcoming(size_t i) const {
    std::vector<int> units;
    const size_t depth = weight_slots_.empty() ? 0 : weight_slots_.size() - 1;
    for (size_t j = i + 1; j < run_.step.size() && units.size() < depth; ++j)
      if (run_.step[j].unit != run_.step[i].unit && std::find(units.begin(), units.end(), run_.step[j].unit) == units.end())
        units.push_back(run_.step[j].unit);
    return units;
  }
  void send_weights(int unit, size_t end) {
    if (!sharding_.state || sharding_.params) return;
    for (size_t b = begin_of(unit); b < end; ++b)
      arrives_[b] = collective(weights_, now_, Collective::all_gather, static_cast<double>(layout_.buckets[b].n) * narrow_, group_);
  }

  GradSlot* grad_slot_of(int unit) {
    for (GradSlot& s : grad_slots_)
      if (s.unit == unit && s.in_use) return &s;
    return nullptr;
  }
  GradSlot& grad_slot(int unit) {
    GradSlot& slot = grad_slots_[next_grad_slot_];
    next_grad_slot_ = (next_grad_slot_ + 1) % grad_slots_.size();
    drain(slot);
    slot.unit = unit;
    slot.in_use = true;
    return slot;
  }
  void drain(GradSlot& slot) {
    for (const Arrival& a : slot.arrivals) finish(a);
    slot.arrivals.clear();
    if (offloads()) wait(slot.taken, cost_.exposed_offload);
    slot.unit = -1;
  }
  void finish(const Arrival& a) {
    wait(a.at, cost_.exposed_gradients);
    if (a.seconds > 0) compute(a.seconds, cost_.element_wise);
    if (a.over_nodes > 0) node_sums_ = collective(sums_, now_, Collective::all_reduce, a.over_nodes, replicas_);
  }
  void bind_grads(int unit) {
    if (!sharding_.grads || !has_grads(unit) || grad_slot_of(unit)) return;
    grad_slot(unit);
    compute(streamed("fill", static_cast<double>(layout_.n_trained_of(unit)) * kGradientBytes), cost_.element_wise);
  }

  void grads_ready(int unit, bool last) {
    if ((!sharding_.grads && !last) || !has_grads(unit)) return;
    GradSlot* slot = sharding_.grads ? grad_slot_of(unit) : nullptr;
    if (!slot && travels_) slot = &grad_slot(unit);
    std::vector<Arrival>& arrivals = slot ? slot->arrivals : arrivals_;
    const bool first = !begun_[static_cast<size_t>(unit)];
    begun_[static_cast<size_t>(unit)] = true;
    const bool later = sharding_.grads && !offloads() && !(first && last);  // sums between nodes
    for (size_t b = begin_of(unit); b < end_of_trained(unit); ++b) {
      const double n = static_cast<double>(layout_.buckets[b].n), shard = static_cast<double>(layout_.buckets[b].shard);
      if (travels_) compute(streamed("cast", n * (kGradientBytes + sent_)), cost_.element_wise);
      const bool divided = sharding_.state;
      const double part = divided ? shard : n;
      double at = collective(gradients_, now_, divided ? Collective::reduce_scatter : Collective::all_reduce, n * sent_, group_);
      if (!later) at = collective(sums_, at, Collective::all_reduce, part * sent_, replicas_);
      if (offloads()) {
        slot->taken = down_.put(at, shard * sent_ / rates_.down);
        host_.put(slot->taken, shard * (first ? 0 : 12) / host_rate(host_copy_) + shard * (last ? 4 : 0) / host_rate(host_copy_));
        continue;
      }
      const bool straight = !travels_ && (first || !divided);
      if (run_.shards.ordered) {
        arrivals.push_back({at, streamed("add", n * (sent_ + 2 * kGradientBytes)), 0});
        continue;
      }
      arrivals.push_back({at, straight ? 0 : streamed(first ? "cast" : "add", part * (sent_ + kGradientBytes * (first ? 1 : 2))),
                          later && last && replicas_.size > 1 ? part * kGradientBytes : 0});
    }
    if (slot) slot->in_use = false;
  }
  double host_rate(double whole) const { return whole * on_host_; }

  void update() {
    for (WeightSlot& s : weight_slots_) s.unit = -1;
    if (offloads()) {
      for (size_t b = 0; b < layout_.buckets.size(); ++b) {
        const auto shard = static_cast<double>(layout_.buckets[b].shard);
        uploaded_[b] = host_.put(now_, shard * (kAdamWBytes + narrow_) / host_rate(host_adamw_));
        if (!run_.shards.offload_params) uploaded_[b] = up_.put(uploaded_[b], shard * narrow_ / rates_.up);
      }
      return pending_up_.assign(pending_up_.size(), true);
    }
    for (int unit = 0; unit < layout_.n_units(); ++unit) {
      for (size_t b = begin_of(unit); b < end_of_trained(unit); ++b) {
        const BucketLayout& bucket = layout_.buckets[b];
        const auto n = static_cast<double>(sharding_.state ? bucket.shard : bucket.n);
        compute(streamed("adamw", n * (kAdamWBytes + narrow_)), cost_.optimizer);
      }
      send_weights(unit, end_of_trained(unit));
      const auto ahead = weight_slots_.empty() ? 0 : static_cast<int>(weight_slots_.size()) - 1;
      if (unit < ahead) weight_slots_[static_cast<size_t>(unit)] = {unit, false, false, gather(unit)};
    }
  }

  void step() {
    begun_.assign(static_cast<size_t>(layout_.n_units()), false);
    const double n_held = static_cast<double>(layout_.n_trained()), n_owned = n_held / layout_.world;
    if (!sharding_.grads || run_.shards.ordered)
      compute(streamed("fill", (sharding_.grads ? n_owned : n_held) * kGradientBytes), cost_.element_wise);
    for (size_t i = 0; i < run_.step.size(); ++i) {
      const Visit& v = run_.step[i];
      acquire(v.unit);
      if (sharding_.params) prefetch(upcoming(i));
      if (v.writes_grads) bind_grads(v.unit);
      const VisitCost& c = visits_[i % n_visits_];
      compute(c.products, cost_.products);
      compute(c.wkv, cost_.wkv);
      compute(c.element_wise, cost_.element_wise);
      if (v.grads_ready) grads_ready(v.unit, v.last);
      if (i + 1 < run_.step.size() && run_.step[i + 1].unit == v.unit) continue;
      if (WeightSlot* slot = slot_of(v.unit)) slot->in_use = false;
    }
    for (const Arrival& a : arrivals_) finish(a);
    arrivals_.clear();
    for (size_t i = 0; i < grad_slots_.size(); ++i) drain(grad_slots_[(next_grad_slot_ + i) % grad_slots_.size()]);
    wait(node_sums_, cost_.exposed_gradients);
    if (offloads())
      wait(host_.free, cost_.exposed_offload);
    else
      compute(streamed("sum_of_squares", n_owned * kGradientBytes), cost_.optimizer);
    wait(collective(gradients_, now_, Collective::all_reduce, 64 + static_cast<double>(run_.memory.sums), world_), cost_.exposed_gradients);
    update();
  }

  const RunPlan& run_;
  const FlatLayout& layout_;
  Sharding sharding_;
  ComputeRates rates_;
  LinkRates links_;
  double narrow_;
  bool travels_;
  double sent_;
  size_t n_visits_;
  double on_host_ = 1, host_adamw_ = 0, host_copy_ = 0;
  RankGroup world_, group_, replicas_;
  double node_sums_ = 0;           // when the last of them ends
  std::vector<VisitCost> visits_;  // of one micro-batch

  double now_ = 0;  // of the computation
  Queue gradients_, weights_, sums_, inside_, network_, down_, up_, host_;
  std::vector<double> arrives_, uploaded_;  // by bucket: when new weights are here
  std::vector<bool> pending_up_, begun_;    // by unit
  std::vector<WeightSlot> weight_slots_;
  std::vector<GradSlot> grad_slots_;
  size_t next_grad_slot_ = 0;
  std::vector<Arrival> arrivals_;
  StepCost cost_;
};

}  // namespace

constexpr double StepCost::*kFields[] = {&StepCost::seconds,         &StepCost::products,          &StepCost::wkv,
                                         &StepCost::element_wise,    &StepCost::optimizer,         &StepCost::slowdown,
                                         &StepCost::exposed_weights, &StepCost::exposed_gradients, &StepCost::exposed_offload,
                                         &StepCost::communication};

StepCost operator+(const StepCost& a, const StepCost& b) {
  StepCost sum;
  for (const auto field : kFields) sum.*field = a.*field + b.*field;
  return sum;
}

StepCost operator*(double factor, const StepCost& cost) {
  StepCost product;
  for (const auto field : kFields) product.*field = factor * cost.*field;
  return product;
}

StepCost predict_step(const StepRecord& record, const RunPlan& run, const RunPlace& place, const MachineRates& machine) {
  return Simulation(record, run, place, machine).run();
}

}  // namespace rk
