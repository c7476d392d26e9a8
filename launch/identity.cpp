#include "launch/identity.h"

#include <xxhash.h>

#include <cstdio>
#include <filesystem>
#include <span>
#include <sstream>

#include "base/error.h"
#include "base/hex.h"
#include "base/mapped_file.h"
#include "comm/backends.h"
#include "comm/mpi_version.h"
#include "comm/places.h"
#include "data/samples/data_files.h"
#include "device/cuda_facts.h"
#include "io/hdf5_version.h"
#include "launch/mpirun.h"

namespace rk {
namespace {

constexpr size_t kWhole = size_t{128} << 20, kEnds = size_t{1} << 20, kPiece = size_t{64} << 10, kPieces = 64;

// A hash of hashes: of the file as a whole, or of its pieces.
uint64_t hash_of(std::span<const std::byte> bytes) {
  if (bytes.size() <= kWhole) return XXH64(bytes.data(), bytes.size(), 0);
  uint64_t hash = 0;
  const auto add = [&](size_t begin, size_t n) { hash = XXH64(bytes.data() + begin, n, hash); };
  add(0, kEnds);
  const size_t stride = (bytes.size() - 2 * kEnds) / kPieces;
  for (size_t i = 0; i < kPieces; ++i) add(kEnds + i * stride, kPiece);
  add(bytes.size() - kEnds, kEnds);
  return hash;
}

void add_file(RankCard& card, const std::string& what, const std::string& path) {
  card.statements.push_back({.what = cat(what, " ", path), .value = file_identity(path), .shown = false, .lines = {}});
}

}  // namespace

std::string file_identity(const std::string& path) {
  try {
    const MappedFile file(path);
    return cat(file.size(), " bytes, hash ", hex(hash_of(file.bytes())));
  } catch (const Error&) {
    return "absent";
  }
}

std::string lines_of_options(const RunConfig& config) {
  std::istringstream in(config.text);
  std::string text;
  for (std::string line; std::getline(in, line);) {
    line = line.substr(0, line.rfind("  # "));
    if (!line.starts_with("threads = ")) text += line + "\n";
  }
  return text;
}

RankCard make_rank_card(const RunConfig& config, int gpu) {
  RankCard card;
  card.host = host_name();
  card.index = gpu;
  card.device = gpu >= 0 ? gpu_name(gpu) : cat("CPU, ", n_cores(), n_cores() == 1 ? " core" : " cores");
  const auto say = [&](const char* what, const std::string& value, Statement::Rule rule = Statement::Rule::equal) {
    if (!value.empty()) card.statements.push_back({.what = what, .value = value, .rule = rule, .lines = {}});
  };
  say("rookery", ROOKERY_VERSION);
  card.statements.push_back({.what = "program",
                             .value = file_identity("/proc/self/exe"),
                             .shown = false,
                             .lines = cat("path ", std::filesystem::read_symlink("/proc/self/exe").string(), "\n")});
  say("MPI", mpi_version());
  say("CUDA", cuda_runtime_version());
  say("driver for CUDA", gpu >= 0 ? cuda_driver_version() : "", Statement::Rule::may_differ);
  say("NCCL", gpu >= 0 ? nccl_version() : "");
  say("HDF5", hdf5_version());
  const std::string options = lines_of_options(config);
  card.statements.push_back(
      {.what = "options", .value = cat("hash ", hex(XXH64(options.data(), options.size(), 0))), .shown = false, .lines = options});
  if (config.train_stage != 1)
    for (const std::string& file : named_files(config)) add_file(card, "data", file);
  if (!config.load_model.empty() && config.load_model != "0") add_file(card, "weights", config.load_model);
  return card;
}

}  // namespace rk
