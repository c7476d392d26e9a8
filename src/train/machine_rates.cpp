#include "train/machine_rates.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "train/step_record.h"

namespace rk {
namespace {

constexpr double kDefaultPart = 0.85;  // of the copy's bandwidth, which element-wise operators reach
constexpr double kTokensOfChunk = 32;  // kernels/wkv7/cuda_layout.h
constexpr double kPlainWkv = 5;        // times the chunked form's seconds, where that does not work

double ceil_to(double n, double step) { return std::ceil(n / step) * step; }

// What a product reaches by its shape alone: whole tiles, whole waves of tiles, and a start before each sum.
double shape_efficiency(const ComputeRates& rates, double M, double N, double K) {
  constexpr double kTileM = 128, kTileN = 256, kStart = 110, kSplit = 1024;
  const auto tiles_of = [](double m, double n) { return ceil_to(m, kTileM) / kTileM * ceil_to(n, kTileN) / kTileN; };
  const double tiles = std::min(tiles_of(M, N), tiles_of(N, M));
  double efficiency = M * N / (tiles * kTileM * kTileN) * K / (K + kStart);
  if (rates.n_sm == 0) return efficiency;
  // Long sums are split where there are few tiles.
  const double units = tiles < 2.0 * rates.n_sm ? tiles * std::max(1.0, std::floor(K / kSplit)) : tiles;
  return efficiency * units / ceil_to(units, rates.n_sm);
}

// The formula, corrected by what was measured at the nearest shapes.
double gemm_flops(const ComputeRates& rates, const OpSizes& sizes) {
  const auto M = static_cast<double>(sizes[0]), N = static_cast<double>(sizes[1]), K = static_cast<double>(sizes[2]);
  double sum = 0, weights = 0;
  for (const GemmSample& s : rates.gemm) {
    const auto m = static_cast<double>(s.M), n = static_cast<double>(s.N), k = static_cast<double>(s.K);
    const double distance = std::pow(std::log(M / m), 2) + std::pow(std::log(N / n), 2) + std::pow(std::log(K / k), 2);
    const double weight = 1 / (0.01 + distance * distance);
    sum += weight * std::log(s.flops / (rates.gemm_flops * shape_efficiency(rates, m, n, k)));
    weights += weight;
  }
  const double correction = weights > 0 ? std::exp(sum / weights) : 1;
  return rates.gemm_flops * shape_efficiency(rates, M, N, K) * correction;
}

double wkv_seconds(const ComputeRates& rates, const OpCall& call, bool backward) {
  const WkvRate& r = backward ? rates.wkv_backward : rates.wkv_forward;
  const double elements = static_cast<double>(call.sizes[0]) * static_cast<double>(call.sizes[1]) * static_cast<double>(call.sizes[2]);
  const double squares = call.flops / ((backward ? 24 : 8) * elements) / (64 * 64);  // of the head size
  return elements * r.each_s * squares + std::ceil(static_cast<double>(call.sizes[2]) / kTokensOfChunk) * r.chunk_s;
}

}  // namespace

OpKind kind_of(const char* op) {
  if (std::strcmp(op, "gemm") == 0) return OpKind::product;
  return std::strncmp(op, "wkv7", 4) == 0 ? OpKind::wkv : OpKind::element_wise;
}

double op_seconds(const ComputeRates& rates, const OpCall& call) {
  switch (kind_of(call.op)) {
    case OpKind::product:
      return rates.gap_s + std::max(call.flops / gemm_flops(rates, call.sizes), call.bytes / (kDefaultPart * rates.copy));
    case OpKind::wkv: return rates.gap_s + wkv_seconds(rates, call, std::strcmp(call.op, "wkv7") != 0);
    case OpKind::element_wise: break;
  }
  const auto known = rates.operators.find(call.op);
  return rates.gap_s + call.bytes / (known != rates.operators.end() ? known->second : kDefaultPart * rates.copy);
}

ComputeRates at_precision(ComputeRates rates, const std::string& precision) {
  if (precision == "bf16" || precision == "fp16" || precision.empty() || rates.device == "cpu") return rates;
  const double factor = precision == "tf32" ? 0.5 : 0.065;  // fp32 does without tensor cores
  rates.gemm_flops *= factor;
  for (GemmSample& s : rates.gemm) s.flops *= factor;
  rates.wkv_forward.each_s *= kPlainWkv;
  rates.wkv_backward.each_s *= kPlainWkv;
  return rates;
}

}  // namespace rk
