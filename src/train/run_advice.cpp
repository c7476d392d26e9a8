#include "train/run_advice.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "train/global_batch.h"

namespace rk {
namespace {

constexpr int64_t kMicroBatches = 4;  // that are simulated

double tokens_of_step(const RunConfig& c, int n_ranks) {
  return static_cast<double>(step_batch(c, n_ranks).samples) * static_cast<double>(c.ctx_len);
}

bool host_has_room(const RunPlan& run, const RunPlace& place, const MachineRates& machine) {
  if (machine.host.memory == 0) return true;
  const auto in_node = static_cast<size_t>(std::max(1, place.n_ranks / place.n_nodes));
  return run.memory.on_host() * in_node <= machine.host.memory;
}

// In ascending order.
std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> all;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    all.push_back(d);
    if (d != n / d) all.push_back(n / d);
  }
  std::sort(all.begin(), all.end());
  return all;
}

// Sizes of a micro-batch that leave no row of it empty, or, where the ranks do not divide the samples of a step, as few as may be.
std::vector<int64_t> micro_sizes(const RunConfig& c, int n_ranks) {
  const StepBatch batch = step_batch(c, n_ranks);
  const int64_t share = (batch.samples + n_ranks - 1) / n_ranks;
  if (batch.samples % n_ranks == 0) return divisors(share);
  std::vector<int64_t> all;
  for (int64_t n = share; n >= 1; --n) {
    const int64_t B = (share + n - 1) / n;
    if (all.empty() || all.back() != B) all.push_back(B);
  }
  return all;
}

// One option's other settings. Each is applied to a configuration or is not applicable.
struct Change {
  std::string flags;  // empty: as asked
  std::function<void(RunConfig&)> apply;
};
using Changes = std::vector<Change>;

const Change kAsAsked{"", [](RunConfig&) {}};

Changes batch_changes(const RunConfig& c, int n_ranks) {
  Changes all{kAsAsked};
  for (int64_t B : divisors(c.micro_bsz)) {
    if (B == c.micro_bsz) continue;
    RunConfig changed = c;
    set_micro_bsz(changed, B, n_ranks);
    all.push_back({cat("--micro_bsz ", B, " --accumulate_grad_batches ", changed.accumulate),
                   [B, n_ranks](RunConfig& r) { set_micro_bsz(r, B, n_ranks); }});
  }
  return all;
}

Changes recompute_changes(const RunConfig& c) {
  Changes all{kAsAsked};
  if (!c.grad_cp) all.push_back({"--grad_cp 1", [](RunConfig& r) { r.grad_cp = true; }});
  return all;
}

Changes keep_changes(const RunConfig& c) {
  Changes all{kAsAsked};
  if (c.keep == "all") all.push_back({"--keep auto", [](RunConfig& r) { r.keep = "auto"; }});
  return all;
}

// Stages above the one asked for, and what they let go to the host.
Changes sharding_changes(const RunConfig& c, int n_ranks) {
  Changes all{kAsAsked};
  const int asked = std::max(c.zero, 0);
  if (n_ranks > 1)
    for (int stage = asked + 1; stage <= 3; ++stage) all.push_back({cat("--zero ", stage), [stage](RunConfig& r) { r.zero = stage; }});
  if (c.offload_params || c.deterministic_reduce) return all;
  const auto offload = [](int stage, bool params) {
    return [stage, params](RunConfig& r) {
      r.zero = stage;
      r.offload_optimizer = true;
      r.offload_params = params;
    };
  };
  if (!c.offload_optimizer) {
    const int stage = std::max(asked, 2);
    all.push_back({cat("--zero ", stage, " --offload optimizer"), offload(stage, false)});
    if (stage == 2 && n_ranks > 1) all.push_back({"--zero 3 --offload optimizer", offload(3, false)});
  }
  all.push_back({"--zero 3 --offload optimizer,params", offload(3, true)});
  return all;
}

Changes segment_changes(const RunConfig& c) {
  Changes all{kAsAsked};
  const int64_t now = c.chunk_ctx > 0 ? c.chunk_ctx : c.ctx_len;
  for (int64_t T = now / 2; T >= 1024; T /= 2) all.push_back({cat("--chunk_ctx ", T), [T](RunConfig& r) { r.chunk_ctx = T; }});
  return all;
}

// A combination that was looked at.
struct Candidate {
  Suggestion suggestion;
  std::set<size_t> changed;  // of the lists of changes
};

bool less_is_faster(const Candidate& other, const Candidate& than) {
  return other.suggestion.tokens_per_s >= than.suggestion.tokens_per_s &&
         std::includes(than.changed.begin(), than.changed.end(), other.changed.begin(), other.changed.end());
}

// More ranks, with the options as asked: the share of each becomes smaller where the batch allows, else the batch grows.
void with_more_ranks(const Exec& bare, Model& model, const RunCase& asked, std::vector<Candidate>& found) {
  const int in_node = std::max(1, asked.place.n_ranks / asked.place.n_nodes);
  for (int factor = 2; factor <= 64; factor *= 2) {
    RunConfig c = asked.config;
    RunPlace place = asked.place;
    c.global_bsz = step_batch(c, place.n_ranks).samples;
    place.n_ranks *= factor;
    const int per_node = std::max(in_node, asked.machine.links.ranks_per_node);
    place.n_nodes = std::max(place.n_nodes, (place.n_ranks + per_node - 1) / per_node);
    if (c.zero == 0) c.zero = 1;
    if (c.accumulate % factor == 0) {
      c.accumulate /= factor;
    } else if (c.accumulate == 1 && c.micro_bsz % factor == 0) {
      c.micro_bsz /= factor;
    } else {
      continue;
    }
    const Forecast f = forecast(bare, model, {c, place, asked.machine});
    if (!f.fits) continue;
    std::string flags = cat("--devices ", place.n_ranks / place.n_nodes);
    if (place.n_nodes > 1) flags += cat(" --num_nodes ", place.n_nodes);
    if (c.zero != asked.config.zero) flags += cat(" --zero ", c.zero);
    if (c.micro_bsz != asked.config.micro_bsz) flags += cat(" --micro_bsz ", c.micro_bsz);
    if (c.accumulate != asked.config.accumulate) flags += cat(" --accumulate_grad_batches ", c.accumulate);
    found.push_back({{flags, f.run.memory.on_gpu(), f.run.memory.on_host(), f.tokens_per_s, place.n_ranks}, {1000}});
    return;
  }
}

}  // namespace

Forecast forecast(const Exec& bare, Model& model, const RunCase& asked) {
  MachineRates machine = asked.machine;
  machine.compute = at_precision(machine.compute, asked.config.precision);
  const auto with = [&](int64_t n_micro) {
    RunConfig c = asked.config;
    c.accumulate = n_micro;
    Forecast f;
    f.run = plan_run(bare, c, model, asked.place);
    f.cost = predict_step(record_step(bare, model, f.run), f.run, asked.place, machine);
    return f;
  };
  // All micro-batches but the first and the last are alike.
  const int64_t n_micro = asked.config.accumulate;
  Forecast f = with(std::min(n_micro, kMicroBatches));
  if (n_micro > kMicroBatches) {
    f.cost = f.cost + static_cast<double>(n_micro - kMicroBatches) * (f.cost - with(kMicroBatches - 1).cost);
    const size_t more = Batcher::n_bytes(f.run.shape) / static_cast<size_t>(kMicroBatches) * static_cast<size_t>(n_micro - kMicroBatches);
    f.run.shape.micro = n_micro;
    f.run.memory.batches += more;
    if (f.run.memory.staging > 0) f.run.memory.staging += 2 * more;
    if (f.run.memory.sums > 0) f.run.memory.sums += static_cast<size_t>((n_micro - kMicroBatches) * asked.place.n_ranks) * sizeof(double);
    remark(f.run, asked.config, asked.place);
  }
  f.fits = f.run.fits() && host_has_room(f.run, asked.place, asked.machine);
  f.tokens_per_s = tokens_of_step(asked.config, asked.place.n_ranks) / f.cost.seconds;
  return f;
}

std::vector<Suggestion> suggest(const Exec& bare, Model& model, const RunCase& asked, size_t most) {
  const RunConfig& c = asked.config;
  const Changes lists[] = {recompute_changes(c), keep_changes(c), batch_changes(c, asked.place.n_ranks), segment_changes(c),
                           sharding_changes(c, asked.place.n_ranks)};
  constexpr size_t n = std::size(lists);
  std::vector<Candidate> found;
  size_t at[n] = {};
  for (;;) {
    size_t i = 0;
    while (i < n && ++at[i] == lists[i].size()) at[i++] = 0;  // the next combination
    if (i == n) break;
    RunConfig changed = c;
    Candidate candidate;
    for (size_t k = 0; k < n; ++k) {
      const Change& change = lists[k][at[k]];
      if (change.flags.empty()) continue;
      change.apply(changed);
      candidate.changed.insert(k);
      candidate.suggestion.flags += (candidate.suggestion.flags.empty() ? "" : " ") + change.flags;
    }
    const Forecast f = forecast(bare, model, {changed, asked.place, asked.machine});
    if (!f.fits) continue;
    candidate.suggestion.on_gpu = f.run.memory.on_gpu();
    candidate.suggestion.on_host = f.run.memory.on_host();
    candidate.suggestion.tokens_per_s = f.tokens_per_s;
    candidate.suggestion.n_ranks = asked.place.n_ranks;
    found.push_back(std::move(candidate));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Candidate& a, const Candidate& b) { return a.suggestion.tokens_per_s > b.suggestion.tokens_per_s; });
  std::vector<Candidate> best;
  for (const Candidate& candidate : found)
    if (std::none_of(best.begin(), best.end(), [&](const Candidate& b) { return less_is_faster(b, candidate); })) best.push_back(candidate);
  if (best.size() > most) best.resize(most);
  with_more_ranks(bare, model, asked, best);
  std::vector<Suggestion> suggestions;
  for (Candidate& candidate : best) suggestions.push_back(std::move(candidate.suggestion));
  return suggestions;
}

std::string advice(const std::vector<Suggestion>& suggestions) {
  if (suggestions.empty()) return "no change of its options that rookery plan knows fits: use more GPUs or a smaller model";
  std::string text = suggestions.size() == 1 ? "what fits: " : "what fits, fastest first: ";
  for (const Suggestion& s : suggestions) {
    char speed[48];
    std::snprintf(speed, sizeof speed, ", about %.3g k tokens/s)", s.tokens_per_s * 1e-3);
    text += cat(&s == &suggestions.front() ? "" : "; or ", s.flags, " (", mebibytes(s.on_gpu), speed);
  }
  return text;
}

int64_t choose_micro_bsz(const Exec& bare, Model& model, const RunCase& asked) {
  int64_t best = 1;
  double fastest = 0;
  for (int64_t B : micro_sizes(asked.config, asked.place.n_ranks)) {
    RunConfig c = asked.config;
    set_micro_bsz(c, B, asked.place.n_ranks);
    const Forecast f = forecast(bare, model, {c, asked.place, asked.machine});
    if (!f.fits) break;  // larger ones need more
    if (f.tokens_per_s <= fastest) continue;
    best = B;
    fastest = f.tokens_per_s;
  }
  return best;
}

MachineRates rates_for(const std::string& gpu_name) {
  if (auto known = known_machine(gpu_name)) return *known;
  MachineRates m = *known_machine("h100-80");
  m.origin = cat("unknown (", gpu_name, "): the rates are an H100's");
  return m;
}

}  // namespace rk
