// The GPUs that --gpu names. What was measured is marked so; the others have the figures of their data sheets, of which operators reach the
// same parts as on the measured chip.
#include <algorithm>
#include <cctype>

#include "train/machine_rates.h"

namespace rk {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr double kTera = 1e12, kGiga = 1e9;

// A line of a data sheet.
struct Sheet {
  const char* name;    // as --gpu gives it
  const char* driver;  // part of the name that the driver tells
  size_t memory_mib;   // as nvidia-smi shows the total
  int n_sm;
  double tflops, tb_s;  // dense bf16 with fp32 sums; bandwidth of the memory
  double nvlink_gb_s;   // bus bandwidth of collectives; that of PCIe where there is no NVLink
  double pcie_gb_s;     // each way
};

constexpr Sheet kSheets[] = {
    {"h200", "H200", 143771, 132, 989, 4.8, 340, 53},
    {"h100-80", "H100 80GB HBM3", 81559, 132, 989, 3.35, 340, 53},
    {"h100-pcie", "H100 PCIe", 81559, 114, 756, 2.0, 40, 53},
    {"h800-80", "H800", 81559, 132, 989, 3.35, 150, 53},
    {"b200", "B200", 183359, 148, 2250, 8.0, 640, 53},
    {"a100-80", "A100-SXM4-80GB", 81920, 108, 312, 2.04, 220, 24},
    {"a100-40", "A100-SXM4-40GB", 40960, 108, 312, 1.56, 220, 24},
    {"a800-80", "A800", 81920, 108, 312, 2.04, 150, 24},
    {"l40s-48", "L40S", 46068, 142, 362, 0.86, 20, 24},
    {"a6000-48", "RTX A6000", 49140, 84, 155, 0.77, 20, 24},
    {"5090-32", "RTX 5090", 32607, 170, 210, 1.79, 20, 53},
    {"4090-24", "RTX 4090", 24564, 128, 165, 1.01, 15, 24},
    {"3090-24", "RTX 3090", 24576, 82, 71, 0.94, 10, 24},
};

// One NVIDIA H200 (docs/performance.md): parts of the data sheet that operators reach there.
struct Reached {
  const char* op;
  double gb_s;
};
constexpr double kSheetOfMeasured = 4.8 * kTera, kPeakOfMeasured = 989 * kTera;
constexpr Reached kReached[] = {
    {"norm_mix", 2930},
    {"norm_mix_backward", 2930},
    {"rwkv7_output_forward", 3850},
    {"rwkv7_output_backward", 3850},
    {"rwkv7_prepare_forward", 3900},
    {"rwkv7_prepare_backward", 3900},
    {"wkv6", 1000},
    {"wkv6_backward", 480},
    {"wkv4", 1950},
    {"wkv4_backward", 1750},
    {"group_norm_gate", 2800},
    {"group_norm_gate_backward", 3300},
    {"sigmoid_gate", 4270},
    {"sigmoid_gate_backward", 4030},
    {"split_columns", 2200},
    {"join_columns", 2250},
    {"sum_rows", 3000},
    {"activation", 3950},
    {"activation_backward", 3950},
    {"adamw", 4040},
};
constexpr double kCopyReached = 4300 * kGiga, kGemmReached = 780 * kTera;
constexpr GemmSample kProducts[] = {
    {32768, 2048, 2048, 725 * kTera}, {32768, 8192, 2048, 715 * kTera}, {32768, 2048, 8192, 725 * kTera}, {65536, 768, 768, 660 * kTera},
    {65536, 3072, 768, 660 * kTera},  {4096, 65536, 2048, 710 * kTera}, {2048, 2048, 32768, 710 * kTera},
};
// Seconds for each token and head, and for each chunk of a sequence; inside a step, where inputs are not in the cache.
constexpr WkvRate kWkvForward{0.90e-9, 1.0e-6}, kWkvBackward{2.02e-9, 1.0e-6};
// NCCL on four of them, NVLink.
constexpr LinkSample kLinks[] = {
    {1.0 * kMiB, 69 * kGiga, 69 * kGiga, 87 * kGiga},
    {16.0 * kMiB, 206 * kGiga, 206 * kGiga, 258 * kGiga},
    {256.0 * kMiB, 302 * kGiga, 302 * kGiga, 341 * kGiga},
    {1024.0 * kMiB, 327 * kGiga, 327 * kGiga, 357 * kGiga},
};

MachineRates machine_of(const Sheet& s) {
  MachineRates m;
  const bool measured = std::string(s.name) == "h200";
  m.name = s.name;
  m.origin = measured ? "measured" : "its data sheet, with the parts of it that are reached on a measured H200";
  ComputeRates& c = m.compute;
  const double memory = s.tb_s * kTera / kSheetOfMeasured, products = s.tflops * kTera / kPeakOfMeasured;
  c.memory = s.memory_mib * kMiB;
  c.n_sm = s.n_sm;
  c.peak_flops = s.tflops * kTera;
  c.gemm_flops = kGemmReached * products;
  c.copy = kCopyReached * memory;
  c.gap_s = 2e-6;
  for (GemmSample g : kProducts) {
    g.flops *= products;
    c.gemm.push_back(g);
  }
  for (const Reached& r : kReached) c.operators[r.op] = r.gb_s * kGiga * memory;
  c.wkv_forward = {kWkvForward.each_s / products, kWkvForward.chunk_s};
  c.wkv_backward = {kWkvBackward.each_s / products, kWkvBackward.chunk_s};
  c.down = c.up = s.pcie_gb_s * kGiga;
  m.host = {.memory = 0, .copy = 130 * kGiga, .adamw = 125 * kGiga};  // of 32 cores beside two H200
  m.links.ranks_per_node = 8;
  for (LinkSample l : kLinks) {
    const double part = s.nvlink_gb_s / 340;
    m.links.inside.push_back({l.bytes, l.reduce_scatter * part, l.all_gather * part, l.all_reduce * part});
  }
  m.links.hop_s = 2e-6;
  m.links.network = 50 * kGiga;
  m.links.network_hop_s = 6e-6;
  m.links.slowdown = 0.06;
  return m;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

std::optional<MachineRates> known_machine(const std::string& name) {
  for (const Sheet& s : kSheets)
    if (lower(name) == s.name || lower(name).find(lower(s.driver)) != std::string::npos) return machine_of(s);
  return {};
}

std::string known_machine_names() {
  std::string names;
  for (const Sheet& s : kSheets) names += (names.empty() ? "" : ", ") + std::string(s.name);
  return names;
}

}  // namespace rk
