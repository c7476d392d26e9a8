// rookery plan: memory and time of a run before it is started, on any machine.
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "kernels/common/dispatch.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "train/build.h"
#include "train/config.h"
#include "train/config_values.h"
#include "train/global_batch.h"
#include "train/run_advice.h"

namespace rk {
namespace {

constexpr int64_t kVocabulary = 65536;  // of RWKV's world tokenizer

// What this command takes beside the options of rookery train.
struct PlanOptions {
  std::string gpu, machine;
  int64_t ranks = 0, ranks_per_node = 0;
  double host_gib = 0, network_gb_s = 0;
  bool json = false;
};

void print_help() {
  std::printf(
      "rookery plan OPTIONS... tells what rookery train with the same options takes and how fast it would be; it starts nothing, and "
      "needs\n"
      "neither a GPU nor data. Exit code 0: it fits; 2: it does not, and the changes that would are printed.\n"
      "Beside the options of rookery train:\n"
      "  --gpu NAME           one of %s; without it this machine's GPU, else h100-80\n"
      "  --machine FILE       the speed of a machine as rookery bench machine has written it, in place of --gpu\n"
      "  --ranks N            GPUs in all; without it --devices x --num_nodes, else 1\n"
      "  --ranks_per_node N   of a node (8, or the machine's); --num_nodes says it, too\n"
      "  --host_memory GIB    memory of a node; without it it is not checked\n"
      "  --network GB/S       of a node, each way (50 = 400 Gb/s)\n"
      "  --json               one object instead of tables\n"
      "--vocab_size is 65536 where neither it nor --load_model is given.\n",
      known_machine_names().c_str());
}

bool take(PlanOptions& o, const std::string& name, const std::string& value) {
  const auto whole = [&](int64_t& to) {
    const auto n = read_whole(value);
    if (!n || *n < 1) fail(cat("--", name, " ", value, " is not accepted; it takes a whole number from 1 on"));
    to = *n;
  };
  const auto real = [&](double& to) {
    const auto x = read_real(value);
    if (!x || *x <= 0) fail(cat("--", name, " ", value, " is not accepted; it takes a number above 0"));
    to = *x;
  };
  if (name == "gpu")
    o.gpu = value;
  else if (name == "machine")
    o.machine = value;
  else if (name == "ranks")
    whole(o.ranks);
  else if (name == "ranks_per_node")
    whole(o.ranks_per_node);
  else if (name == "host_memory")
    real(o.host_gib);
  else if (name == "network")
    real(o.network_gb_s);
  else
    return false;
  return true;
}

// This command's own words; the others are left for rookery train's parser.
PlanOptions take_own(std::vector<std::string>& words) {
  PlanOptions o;
  std::vector<std::string> others;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--json") {
      o.json = true;
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.starts_with("--") ? word.substr(2, equals == std::string::npos ? equals : equals - 2) : "";
    static constexpr const char* kOwn[] = {"gpu", "machine", "ranks", "ranks_per_node", "host_memory", "network"};
    if (std::find(std::begin(kOwn), std::end(kOwn), name) == std::end(kOwn)) {
      others.push_back(word);
      continue;
    }
    if (equals == std::string::npos && i + 1 == words.size()) fail(cat(word, " needs a value"));
    take(o, name, equals == std::string::npos ? words[++i] : word.substr(equals + 1));
  }
  words = others;
  return o;
}

// The machine, and whether its speed is known.
MachineRates machine_of(const PlanOptions& o, const RunConfig& config) {
  if (!o.machine.empty() && !o.gpu.empty()) fail("--machine and --gpu both say what the machine is; give one of them");
  if (!o.machine.empty()) return read_machine(o.machine);
  if (config.accelerator == "cpu") {
    MachineRates m;
    m.compute.device = "cpu";
    m.name = "CPU";
    return m;
  }
  if (!o.gpu.empty()) {
    if (auto known = known_machine(o.gpu)) return *known;
    fail(cat("--gpu ", o.gpu, " is not in the table of GPUs: ", known_machine_names(), "; or give --machine FILE"));
  }
  if (n_gpus() == 0) return *known_machine("h100-80");
  const Gpu here(GpuOptions{});
  MachineRates m = rates_for(here.name());
  m.compute.memory = here.total_bytes();
  return m;
}

// A file of one rank or one node knows nothing of the links beyond.
void complete_links(MachineRates& machine, const PlanOptions& o, int world) {
  if (o.machine.empty() || world == 1) return;
  LinkRates& links = machine.links;
  const LinkRates known = rates_for(machine.name).links;
  if (links.inside.empty()) {
    links.inside = known.inside;
    links.ranks_per_node = known.ranks_per_node;
    links.slowdown = known.slowdown;
    machine.origin += ", but for collectives, which one rank does not show: those of a known GPU";
  }
  if (links.network == 0) links.network = known.network;
  if (links.hop_s == 0) links.hop_s = known.hop_s;
  if (links.network_hop_s == 0) links.network_hop_s = known.network_hop_s;
}

RunPlace place_of(const PlanOptions& o, const RunConfig& config, MachineRates& machine, int world) {
  complete_links(machine, o, world);
  if (o.ranks_per_node > 0) machine.links.ranks_per_node = static_cast<int>(o.ranks_per_node);
  if (o.network_gb_s > 0) machine.links.network = o.network_gb_s * 1e9;
  machine.host.memory =
      static_cast<size_t>(o.host_gib * (size_t{1} << 30));  // what a host shows may grow: only what is given is held against a run
  RunPlace place{.n_ranks = world};
  const int in_node = machine.links.ranks_per_node;
  place.n_nodes = config.num_nodes > 0 ? static_cast<int>(config.num_nodes) : (world + in_node - 1) / in_node;
  if (world % place.n_nodes != 0)
    fail(cat(world, " ranks do not lie evenly on ", place.n_nodes, " nodes; give --ranks_per_node or --num_nodes"));
  if (config.accelerator == "cuda") place.gpu = GpuMemory{machine.compute.memory, machine.compute.memory - kContextBytes};
  return place;
}

int world_of(const PlanOptions& o, const RunConfig& config) {
  if (o.ranks > 0) return static_cast<int>(o.ranks);
  return static_cast<int>(std::max<int64_t>(config.devices, 1) * std::max<int64_t>(config.num_nodes, 1));
}

double mfu(const Forecast& f, const Model& model, const RunCase& c) {
  if (c.machine.compute.peak_flops == 0) return 0;
  return 6 * static_cast<double>(model.params.numel()) * f.tokens_per_s / c.place.n_ranks / c.machine.compute.peak_flops;
}

void print_cost(const Forecast& f, const Model& model, const RunCase& c) {
  const StepCost& s = f.cost;
  std::printf("predicted step, on %s (%s):\n", c.machine.name.c_str(), c.machine.origin.c_str());
  const auto line = [&](const char* what, double seconds) {
    if (seconds > 5e-7) std::printf("  %-38s %9.2f ms %5.1f %%\n", what, seconds * 1e3, 100 * seconds / s.seconds);
  };
  line("matrix products", s.products);
  line("WKV-7", s.wkv);
  line("element-wise operators", s.element_wise);
  line("optimizer and norm", s.optimizer);
  line("slower beside collectives", s.slowdown);
  line("waiting for weights", s.exposed_weights);
  line("waiting for gradients", s.exposed_gradients);
  line("waiting for the host", s.exposed_offload);
  line("step", s.seconds);
  std::printf("%.0f tokens/s on each of %d, %.0f in all", f.tokens_per_s / c.place.n_ranks, c.place.n_ranks, f.tokens_per_s);
  if (const double part = mfu(f, model, c); part > 0)
    std::printf("; MFU %.1f %% (6 FLOP a parameter and token, of %.3g TFLOP/s)", 100 * part, c.machine.compute.peak_flops * 1e-12);
  std::printf("\n");
}

void print_json(const Forecast& f, const Model& model, const RunCase& c) {
  nlohmann::ordered_json j;
  j["fits"] = f.fits;
  j["ranks"] = c.place.n_ranks;
  j["nodes"] = c.place.n_nodes;
  j["zero"] = f.run.zero;
  j["parameters"] = model.params.numel();
  j["device_bytes"] = f.run.memory.on_gpu();
  j["host_bytes"] = f.run.memory.on_host();
  j["keep"] = f.run.keep_less ? "less" : "all";
  j["micro_bsz"] = c.config.micro_bsz;
  j["accumulate"] = c.config.accumulate;
  j["global_bsz"] = step_batch(c.config, c.place.n_ranks).samples;
  j["step_s"] = f.cost.seconds;
  j["tokens_per_s"] = f.tokens_per_s;
  j["mfu"] = mfu(f, model, c);
  j["exposed_s"] = f.cost.exposed_weights + f.cost.exposed_gradients;
  j["exposed_offload_s"] = f.cost.exposed_offload;
  j["slowdown_s"] = f.cost.slowdown;
  j["communication_s"] = f.cost.communication;
  std::printf("%s\n", j.dump().c_str());
}

void print_case(const Model& model, const RunConfig& c, const RunPlace& place) {
  const StepBatch batch = step_batch(c, place.n_ranks);
  std::printf(
      "%s L%ld-D%ld, %.4g G parameters, %s; ctx %ld, micro_bsz %ld x accumulation %ld x %d %s on %d %s = %ld rows, %ld samples a step\n",
      model.family.c_str(), static_cast<long>(model.n_layer), static_cast<long>(model.n_embd),
      static_cast<double>(model.params.numel()) * 1e-9, c.precision.c_str(), static_cast<long>(c.ctx_len), static_cast<long>(c.micro_bsz),
      static_cast<long>(c.accumulate), place.n_ranks, place.n_ranks == 1 ? "rank" : "ranks", place.n_nodes,
      place.n_nodes == 1 ? "node" : "nodes", static_cast<long>(c.micro_bsz * c.accumulate * place.n_ranks),
      static_cast<long>(batch.samples));
}

void print_suggestions(const std::vector<Suggestion>& suggestions) {
  if (suggestions.empty()) std::printf("No change of the options that are known here fits.\n");
  if (!suggestions.empty()) std::printf("What fits, to be given behind the other options:\n");
  for (const Suggestion& s : suggestions)
    std::printf("  %-64s %10s, %8.0f tokens/s\n", s.flags.c_str(), mebibytes(s.on_gpu).c_str(), s.tokens_per_s);
}

}  // namespace

int plan_main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (help_request(words) != HelpRequest::none) {
    print_help();
    return 0;
  }
  const PlanOptions own = take_own(words);
  RunConfig config = parse_config(words);
  const int world = world_of(own, config);
  validate(config, world, {.plan = true});
  const bool on_gpu = config.accelerator == "cuda";
  if (on_gpu && !has_cuda) fail("this build has no CUDA, so it does not know what its kernels take there; plan with --accelerator cpu");
  if (config.vocab_size == 0 && config.load_model.empty()) config.vocab_size = kVocabulary;

  MachineRates machine = machine_of(own, config);
  if ((machine.compute.device == "cpu") == on_gpu)
    fail(
        cat("--machine ", own.machine, " was measured on a ", on_gpu ? "CPU; give --accelerator cpu" : "GPU; leave --accelerator cpu out"));
  Start start;
  if (!config.load_model.empty()) {
    start.kind = Start::Kind::weights;
    start.path = config.load_model;
  }
  const auto model = build_model(config, start, nullptr);
  ThreadPool pool(config.threads > 0 ? config.threads : n_cores());
  const Exec bare{.device = on_gpu ? Device::cuda : Device::cpu, .pool = &pool, .tf32 = config.precision == "tf32"};
  const RunCase asked{config, place_of(own, config, machine, world), machine};
  if (config.micro_auto) {
    const int64_t B = choose_micro_bsz(bare, *model, asked);
    set_micro_bsz(config, B, world);
  }
  const Forecast f = forecast(bare, *model, asked);
  if (own.json) {
    print_json(f, *model, asked);
    return f.fits ? 0 : static_cast<int>(ExitCode::bad_input);
  }
  print_case(*model, config, asked.place);
  std::printf("%s\n", memory_table(f.run.memory, world, f.run.zero, f.run.gpu).c_str());
  for (const std::string& remark : f.run.remarks) std::printf("%s\n", remark.c_str());
  if (machine.compute.copy > 0) print_cost(f, *model, asked);
  if (f.fits) {
    if (on_gpu) std::printf("It fits.\n");
    return 0;
  }
  std::printf("It does not fit: %s\n",
              f.run.fits()
                  ? cat("a node needs ", mebibytes(f.run.memory.on_host() * static_cast<size_t>(world / asked.place.n_nodes)),
                        " of host memory and has ", mebibytes(machine.host.memory), ".")
                        .c_str()
                  : cat("it needs ", mebibytes(f.run.memory.on_gpu()), " of the GPU's ", mebibytes(f.run.gpu->total), ".").c_str());
  print_suggestions(suggest(bare, *model, asked));
  return static_cast<int>(ExitCode::bad_input);
}

}  // namespace rk
