// rookery bench machine: how fast this machine is, for rookery plan.
#include <cstdio>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "train/measure_machine.h"

namespace rk {
namespace {

void print_help() {
  std::printf(
      "rookery bench machine [--out machine.json] [--cpu] measures this machine in less than a minute and writes what\n"
      "rookery plan --machine FILE reads; without --out it is printed. It needs about 16 GiB of a GPU that nothing else uses, and "
      "measures\n"
      "the cores where there is no GPU, or with --cpu. Under mpirun, with one rank for each GPU, it measures collectives, too.\n");
}

struct Asked {
  std::string out;
  bool cpu = false;
};

Asked read_words(const std::vector<std::string>& words) {
  if (words.empty() || words.front() != "machine")
    fail("rookery bench measures one thing: rookery bench machine [--out machine.json] [--cpu]");
  Asked asked;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--cpu")
      asked.cpu = true;
    else if (words[i] == "--out" && i + 1 < words.size())
      asked.out = words[++i];
    else if (words[i].starts_with("--out="))
      asked.out = words[i].substr(6);
    else
      fail(cat("rookery bench machine does not know ", words[i], "; it takes --out FILE and --cpu"));
  }
  return asked;
}

}  // namespace

int bench_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (const std::string& word : words)
    if (word == "--help" || word == "-h") {
      print_help();
      return 0;
    }
  std::optional<Gpu> gpu;  // outlives what uses it
  std::unique_ptr<Comm> comm = under_mpi() ? make_mpi_comm() : make_self_comm();
  const bool leads = comm->rank() == 0;
  set_log_voice(leads, comm->size() > 1 ? cat("[rank ", comm->rank(), "/", comm->size(), "] ") : "");
  Asked asked;
  agree(*comm, [&] { asked = read_words(words); });
  const NodePlace node = place_of_node(*comm);
  Machine machine{.threads = std::max(1, n_cores() / local_size(*comm)), .node = node.index, .n_nodes = node.n_nodes};
  if (n_gpus() > 0 && !asked.cpu) {
    agree(*comm, [&] { gpu.emplace(GpuOptions{.index = choose_gpu(local_rank(*comm), local_size(*comm), n_gpus())}); });
    check_gpus_differ(*comm, gpu->uuid());
    machine.gpu = &*gpu;
    comm = comm->size() > 1 ? make_gpu_comm(std::move(comm), *gpu) : make_self_comm(machine.gpu);
  }
  const MachineRates rates = measure_machine(*comm, machine, [&](const std::string& part) { log_info("measuring: " + part); });
  if (!leads) return 0;
  if (asked.out.empty()) {
    std::fputs(machine_json(rates).c_str(), stdout);
    return 0;
  }
  std::ofstream file(asked.out);
  file << machine_json(rates);
  if (!file.flush()) fail(cat("--out ", asked.out, ": cannot be written"));
  log_info(cat("wrote ", asked.out));
  return 0;
}

}  // namespace rk
