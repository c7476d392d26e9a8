#include "golden/data_support.h"

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "data/binidx.h"

namespace rk::golden {
namespace {

namespace fs = std::filesystem;

constexpr std::array<uint32_t, 64> round_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void sha256_block(std::array<uint32_t, 8>& h, const uint8_t* block) {
  std::array<uint32_t, 64> w;
  for (int i = 0; i < 16; ++i) w[i] = uint32_t{block[4 * i]} << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  std::array<uint32_t, 8> v = h;
  for (int i = 0; i < 64; ++i) {
    const uint32_t s1 = std::rotr(v[4], 6) ^ std::rotr(v[4], 11) ^ std::rotr(v[4], 25);
    const uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
    const uint32_t s0 = std::rotr(v[0], 2) ^ std::rotr(v[0], 13) ^ std::rotr(v[0], 22);
    const uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    v = {t1 + t2, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]};
  }
  for (int i = 0; i < 8; ++i) h[i] += v[i];
}

}  // namespace

ScratchFolder::ScratchFolder() {
  path_ = (fs::temp_directory_path() / "rookery-golden-XXXXXX").string();
  if (!mkdtemp(path_.data())) fail("cannot make a temporary folder", ExitCode::failure);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string base64_decode(std::string_view text) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (char c : text) {
    if (c == '=') break;
    const size_t digit = digits.find(c);
    if (digit == digits.npos) fail("a case holds text that is not base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if ((n_bits += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (n_bits -= 8)));
  }
  return bytes;
}

std::string sha256_hex(std::string_view bytes) {
  std::array<uint32_t, 8> h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const size_t whole = bytes.size() / 64 * 64;
  for (size_t i = 0; i < whole; i += 64) sha256_block(h, reinterpret_cast<const uint8_t*>(bytes.data()) + i);
  std::string tail(bytes.substr(whole));
  tail.push_back('\x80');
  while (tail.size() % 64 != 56) tail.push_back('\0');
  for (int shift = 56; shift >= 0; shift -= 8) tail.push_back(static_cast<char>(uint64_t{bytes.size()} * 8 >> shift));
  for (size_t i = 0; i < tail.size(); i += 64) sha256_block(h, reinterpret_cast<const uint8_t*>(tail.data()) + i);
  std::string hex;
  for (uint32_t word : h) {
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", word);
    hex += digits;
  }
  return hex;
}

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(cat(path, ": cannot open"));
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

std::vector<nlohmann::json> read_rows(const std::string& path) {
  std::istringstream in(read_whole(path));
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(in, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

void refuse_unknown(const nlohmann::json& object, const std::set<std::string>& known, const std::string& where, Check& check) {
  static const std::set<std::string> prose{"kind",      "case",   "area",  "model", "what", "seed",    "files",
                                           "tolerance", "source", "notes", "note",  "why",  "licences"};
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key) && !prose.contains(key)) check.fail(cat(where, ": unknown option ", key));
  }
}

std::string input_file(const Case& c, const std::string& ending) {
  for (const auto& [name, description] : c.json.at("files").items()) {
    if (name.ends_with(ending)) return c.path(name);
  }
  fail(cat(c.label, ": \"files\" names no ", ending));
}

void compare_index(const nlohmann::json& idx, const std::string& prefix, const std::string& what, Check& check) {
  refuse_unknown(idx, {"version", "dtype_code", "n_seq", "n_doc", "sizes", "pointers", "doc_idx", "trailing"}, what, check);
  const Binidx data(prefix);
  std::vector<int64_t> sizes, pointers, borders;
  for (int64_t i = 0; i < data.n_sequences(); ++i) sizes.push_back(data.size_of_sequence(i)), pointers.push_back(data.byte_pointer(i));
  for (int64_t d = 0; d <= data.n_documents(); ++d) borders.push_back(data.document_begin(d));
  check.exact(what + " version", idx.at("version") == binidx::version);
  check.exact(what + " dtype_code", idx.at("dtype_code") == binidx::code_of_dtype(data.dtype()));
  check.exact(what + " n_seq", idx.at("n_seq") == data.n_sequences());
  check.exact(what + " n_doc", idx.at("n_doc") == data.n_documents() + 1);
  check.exact(what + " sizes", idx.at("sizes") == sizes);
  check.exact(what + " pointers", idx.at("pointers") == pointers);
  check.exact(what + " doc_idx", idx.at("doc_idx") == borders);
  check.exact(what + " trailing", idx.at("trailing") == (data.has_modes() ? data.n_sequences() : 0));
}

void compare_pair(const Case& c, const nlohmann::json& run, const std::string& prefix, Check& check) {
  const std::string what = run.at("files").at(0);
  const std::string bin = read_whole(prefix + ".bin"), idx = read_whole(prefix + ".idx");
  check.exact(what, bin == read_whole(c.path(run.at("files").at(0))));
  check.exact(run.at("files").at(1).get<std::string>(), idx == read_whole(c.path(run.at("files").at(1))));
  check.exact(what + " sha256_bin", sha256_hex(bin) == run.at("sha256_bin"));
  check.exact(what + " sha256_idx", sha256_hex(idx) == run.at("sha256_idx"));
  compare_index(run.at("idx"), prefix, what, check);
}

}  // namespace rk::golden
