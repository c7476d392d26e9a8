// How fast a machine is, as the cost model needs it: measured by `rookery bench machine`, or a known GPU's figures.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device/exec.h"

namespace rk {

struct OpCall;

struct GemmSample {
  int64_t M, N, K;
  double flops;  // a second
};

// WKV-7 works on chunks of time, all at once but for a scan along each head: seconds = tokens x heads x each + chunks of a sequence x
// chunk.
struct WkvRate {
  double each_s = 0, chunk_s = 0;
};

// A rank's processor. All rates are those that operators reach, not the peak.
struct ComputeRates {
  std::string device = "gpu";  // or "cpu"
  size_t memory = 0;           // bytes, as nvidia-smi shows the total
  int n_sm = 0;                // multiprocessors; 0: products come in no waves
  double peak_flops = 0;       // dense bf16 of the data sheet: what MFU is a part of
  double gemm_flops = 0;       // of large products
  double copy = 0;             // bytes a second, read and written
  double gap_s = 0;            // from one operator to the next
  std::vector<GemmSample> gemm;
  std::map<std::string, double> operators;  // bytes a second of an operator; the others reach most of `copy`
  WkvRate wkv_forward, wkv_backward;        // head size 64, 16-bit
  double down = 0, up = 0;                  // bytes a second to pinned host memory and back
};

struct HostRates {
  size_t memory = 0;
  double copy = 0;   // bytes a second of all cores, read and written
  double adamw = 0;  // the same of the optimizer
};

// Bus bandwidth (nccl-tests' measure: independent of the number of ranks) of collectives over `bytes`, all ranks' together.
struct LinkSample {
  double bytes, reduce_scatter, all_gather, all_reduce;
};

struct LinkRates {
  int ranks_per_node = 8;
  std::vector<LinkSample> inside;  // a node; ascending in bytes
  double hop_s = 0;                // a step of a ring inside a node; `inside` has those of a node's ranks
  double network = 0;              // bytes a second of a node, each way
  double network_hop_s = 0;
  double slowdown = 0;  // part of its speed that computation loses while collectives run
};

struct MachineRates {
  std::string name, origin;  // origin: "measured", or where the figures are from
  ComputeRates compute;
  HostRates host;
  LinkRates links;
};

enum class OpKind : uint8_t { product, wkv, element_wise };
OpKind kind_of(const char* op);

// Seconds of one operator call, the gap behind it included.
double op_seconds(const ComputeRates& rates, const OpCall& call);
// The same processor in another precision than bf16.
ComputeRates at_precision(ComputeRates rates, const std::string& precision);

// A machine by the name that --gpu gives ("h200") or a GPU's driver tells ("NVIDIA H200"); empty: not in the table.
std::optional<MachineRates> known_machine(const std::string& name);
std::string known_machine_names();  // "h200, h100-80, ..."

// fail()s naming the file where it is no such file.
MachineRates read_machine(const std::string& path);
std::string machine_json(const MachineRates& machine);

}  // namespace rk
