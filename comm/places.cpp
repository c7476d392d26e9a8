#include "comm/places.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "comm/texts.h"

namespace rk {
namespace {

std::string node_name() {
  const char* id = std::getenv("NCCL_HOSTID");
  return id && *id ? cat("id ", id) : cat("host ", host_name());
}

// As nvidia-smi -L writes it.
std::string uuid_text(std::string digits) {
  for (size_t at : {8u, 13u, 18u, 23u})
    if (at < digits.size()) digits.insert(at, "-");
  return "GPU-" + digits;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

NodePlace place_of_node(Comm& comm) { return place_among(gather_texts(comm, node_name()), comm.rank()); }

NodePlace place_among(const std::vector<std::string>& node_of_rank, int rank) {
  std::vector<std::string> nodes;  // by lowest rank
  std::map<std::string, int> ranks;
  for (const std::string& name : node_of_rank)
    if (ranks[name]++ == 0) nodes.push_back(name);
  const auto own = std::find(nodes.begin(), nodes.end(), node_of_rank[static_cast<size_t>(rank)]);
  const auto by_ranks = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [fewest, most] = std::minmax_element(ranks.begin(), ranks.end(), by_ranks);
  return {static_cast<int>(own - nodes.begin()), static_cast<int>(nodes.size()), fewest->second, most->second};
}

int choose_gpu(int local_rank, int local_size, int n_gpus) {
  if (n_gpus == 1) return 0;  // check_gpus_differ() sees to the rest
  if (local_size > n_gpus)
    fail(cat(local_size, " ranks run on ", host_name(), ", but it has ", n_gpus,
             " usable GPUs; start one rank for each GPU (--devices, mpirun -n, CUDA_VISIBLE_DEVICES)"));
  return local_rank;
}

void check_gpus_differ(Comm& comm, const std::string& uuid) {
  const std::vector<std::string> uuids = gather_texts(comm, uuid), hosts = gather_texts(comm, host_name());
  std::map<std::string, size_t> owners;
  for (size_t r = 0; r < uuids.size(); ++r) {
    const auto [owner, fresh] = owners.emplace(uuids[r], r);
    if (fresh) continue;
    fail(cat("ranks ", owner->second, " and ", r, " on ", hosts[r], " have the same GPU (", uuid_text(uuids[r]),
             "); start one rank for each GPU, and let CUDA_VISIBLE_DEVICES show all of them to every rank or a different one to each"));
  }
}

}  // namespace rk
