#include "io/zip/zip_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "io/utf8.h"
#include "io/zip/crc.h"

namespace rk::zip {
namespace {

constexpr uint32_t local_magic = 0x04034b50, directory_magic = 0x02014b50, end_magic = 0x06054b50;
constexpr uint32_t wide_end_magic = 0x06064b50, wide_locator_magic = 0x07064b50;
constexpr uint64_t end_size = 22, wide_locator_size = 20, wide_end_size = 56, entry_size = 46, local_size = 30;
constexpr uint32_t saturated = 0xffffffff;
constexpr uint64_t max_inflation = 1100;  // deflate makes at most 1032 bytes of one

}  // namespace

Archive::Archive(std::string path, std::span<const std::byte> file) : path_(std::move(path)), file_(file) {
  const Directory directory = find_directory();
  if (directory.count > directory.size / entry_size)
    refuse(cat("its directory of ", directory.size, " bytes cannot hold the ", directory.count, " records it declares"));
  uint64_t at = directory.offset;
  const uint64_t end = directory.offset + directory.size;
  for (uint64_t i = 0; i < directory.count; ++i) {
    Entry entry = read_entry(at, end, at);
    if (!index_.emplace(entry.name, entries_.size()).second) refuse(cat("two records are called ", printable(entry.name)));
    entries_.push_back(entry);
  }
  if (at != end) refuse(cat("its directory ends at offset ", at, " instead of ", end));
  check_overlaps();
}

void Archive::refuse(const std::string& why) const { fail(cat(path_, ": damaged zip archive: ", why)); }

template <class T>
T Archive::number(uint64_t offset) const {
  if (offset > file_.size() || file_.size() - offset < sizeof(T))
    refuse(cat("a field at offset ", offset, " lies past the end of the file"));
  T value;
  std::memcpy(&value, file_.data() + offset, sizeof value);
  return value;
}

std::string_view Archive::text(uint64_t offset, uint64_t n) const {
  if (offset > file_.size() || file_.size() - offset < n) refuse(cat("a name at offset ", offset, " lies past the end of the file"));
  return {reinterpret_cast<const char*>(file_.data()) + offset, n};
}

// The end record is the one whose comment reaches exactly the end of the file.
uint64_t Archive::find_end_record() const {
  const uint64_t size = file_.size();
  for (uint64_t back = end_size; back <= std::min<uint64_t>(size, 65535 + end_size); ++back) {
    const uint64_t at = size - back;
    if (number<uint32_t>(at) == end_magic && number<uint16_t>(at + 20) == back - end_size) return at;
  }
  fail(cat(path_, ": it starts as a zip archive, but its end is missing: an interrupted download or copy (", size, " bytes are there)"));
}

Archive::Directory Archive::find_directory() const {
  const uint64_t at = find_end_record();
  if (number<uint16_t>(at + 4) != number<uint16_t>(at + 6)) refuse("archives in several parts are not supported");
  Directory d;
  d.count = number<uint16_t>(at + 10);
  d.size = number<uint32_t>(at + 12);
  d.offset = number<uint32_t>(at + 16);
  d.end = at;
  const bool wide = at >= wide_locator_size && number<uint32_t>(at - wide_locator_size) == wide_locator_magic;
  if (wide) d = wide_directory(at - wide_locator_size, d);
  if (d.offset > d.end || d.size > d.end - d.offset)
    refuse(cat("its directory (offset ", d.offset, ", ", d.size, " bytes) leaves the file"));
  return d;
}

Archive::Directory Archive::wide_directory(uint64_t locator, Directory d) const {
  const auto at = number<uint64_t>(locator + 8);
  if (at > locator || locator - at < wide_end_size || number<uint32_t>(at) != wide_end_magic)
    refuse(cat("its ZIP64 end record is not at offset ", at, ", where it should be"));
  if (d.count == 0xffff) d.count = number<uint64_t>(at + 32);
  if (d.size == saturated) d.size = number<uint64_t>(at + 40);
  if (d.offset == saturated) d.offset = number<uint64_t>(at + 48);
  d.end = at;
  return d;
}

Entry Archive::read_entry(uint64_t at, uint64_t end, uint64_t& next) const {
  if (end - at < entry_size || number<uint32_t>(at) != directory_magic) refuse(cat("no directory entry at offset ", at));
  const uint64_t name_size = number<uint16_t>(at + 28), extra_size = number<uint16_t>(at + 30), comment = number<uint16_t>(at + 32);
  if (end - at - entry_size < name_size + extra_size + comment) refuse(cat("the directory entry at offset ", at, " is cut off"));
  next = at + entry_size + name_size + extra_size + comment;
  Entry e;
  e.name = text(at + entry_size, name_size);
  const auto flags = number<uint16_t>(at + 8), method = number<uint16_t>(at + 10);
  if (flags & 0x2041u) refuse(cat("record ", printable(e.name), " is encrypted"));
  if (method != 0 && method != 8)
    refuse(cat("record ", printable(e.name), " is compressed by method ", method, ", which is not supported"));
  e.deflated = method == 8;
  e.crc = number<uint32_t>(at + 16);
  uint64_t compressed = number<uint32_t>(at + 20);
  e.size = number<uint32_t>(at + 24);
  e.local = number<uint32_t>(at + 42);
  widen(e, compressed, file_.subspan(at + entry_size + name_size, extra_size));
  locate(e, compressed, method, end);
  return e;
}

// Extra field 0x0001 holds, in this order, those of size, compressed size and offset whose 32 bit field is saturated.
void Archive::widen(Entry& e, uint64_t& compressed, std::span<const std::byte> extra) const {
  std::vector<uint64_t*> wanted;
  for (uint64_t* field : {&e.size, &compressed, &e.local})
    if (*field == saturated) wanted.push_back(field);
  while (!wanted.empty() && extra.size() >= 4) {
    uint16_t head[2];
    std::memcpy(head, extra.data(), 4);
    if (extra.size() - 4 < head[1]) refuse(cat("an extra field of record ", printable(e.name), " is cut off"));
    if (head[0] == 1) {
      if (head[1] < 8 * wanted.size()) refuse(cat("the ZIP64 field of record ", printable(e.name), " is too short"));
      for (size_t i = 0; i < wanted.size(); ++i) std::memcpy(wanted[i], extra.data() + 4 + 8 * i, 8);
      return;
    }
    extra = extra.subspan(4u + head[1]);
  }
}

// Finds the content through the local header, whose own sizes and CRC may be 0.
void Archive::locate(Entry& e, uint64_t compressed, uint16_t method, uint64_t directory) const {
  if (e.local > directory || directory - e.local < local_size || number<uint32_t>(e.local) != local_magic)
    refuse(cat("record ", printable(e.name), " has no header at offset ", e.local, ", where it should be"));
  const uint64_t name_size = number<uint16_t>(e.local + 26), extra_size = number<uint16_t>(e.local + 28);
  const uint64_t begin = e.local + local_size + name_size + extra_size;
  if (begin > directory || directory - begin < compressed)
    refuse(cat("record ", printable(e.name), " declares ", compressed, " bytes at offset ", begin, ", more than the file holds"));
  if (text(e.local + local_size, name_size) != e.name || number<uint16_t>(e.local + 8) != method)
    refuse(cat("record ", printable(e.name), " has another name or method in its header at offset ", e.local));
  if (!e.deflated && compressed != e.size)
    refuse(cat("stored record ", printable(e.name), " has two sizes, ", compressed, " and ", e.size));
  if (e.deflated && e.size / max_inflation > compressed)
    refuse(cat("record ", printable(e.name), " cannot become ", e.size, " bytes from ", compressed, " compressed ones"));
  e.stored = file_.subspan(begin, compressed);
}

void Archive::check_overlaps() const {
  std::vector<const Entry*> order;
  for (const Entry& e : entries_) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->local < b->local; });
  for (size_t i = 1; i < order.size(); ++i) {
    const Entry& before = *order[i - 1];
    const auto end = static_cast<uint64_t>(before.stored.data() + before.stored.size() - file_.data());
    if (order[i]->local < end)
      refuse(cat("records ", printable(before.name), " and ", printable(order[i]->name), " overlap at offset ", order[i]->local));
  }
}

const Entry* Archive::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

std::vector<std::byte> Archive::content(const Entry& entry, uint64_t limit) const {
  if (entry.size > limit) refuse(cat("record ", printable(entry.name), " has ", entry.size, " bytes, at most ", limit, " are accepted"));
  std::vector<std::byte> bytes(entry.size);
  if (entry.deflated) {
    Inflater(path_, entry).read(0, bytes.size(), bytes.data());
  } else if (!bytes.empty()) {
    std::memcpy(bytes.data(), entry.stored.data(), bytes.size());
  }
  return bytes;
}

struct Inflater::Stream {
  z_stream z{};
};

Inflater::Inflater(std::string path, const Entry& entry) : path_(std::move(path)), entry_(entry), stream_(std::make_unique<Stream>()) {
  require(inflateInit2(&stream_->z, -MAX_WBITS) == Z_OK, "zlib starts");
  restart();
}
Inflater::~Inflater() { inflateEnd(&stream_->z); }

void Inflater::restart() {
  inflateReset(&stream_->z);
  stream_->z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(entry_.stored.data()));
  stream_->z.avail_in = 0;
  position_ = 0;
}

void Inflater::next(size_t n, std::byte* destination) {
  z_stream& z = stream_->z;
  const auto* end = reinterpret_cast<const Bytef*>(entry_.stored.data() + entry_.stored.size());
  z.next_out = reinterpret_cast<Bytef*>(destination);
  size_t left = n;
  while (left > 0) {
    z.avail_in = static_cast<uInt>(std::min<size_t>(static_cast<size_t>(end - z.next_in), size_t{1} << 30));
    const uInt room = static_cast<uInt>(std::min(left, size_t{1} << 30));
    z.avail_out = room;
    const int result = inflate(&z, Z_NO_FLUSH);
    left -= room - z.avail_out;
    if (left > 0 && result != Z_OK) fail(cat(path_, ": damaged zip archive: record ", printable(entry_.name), " cannot be inflated"));
  }
  position_ += n;
}

void Inflater::read(uint64_t offset, size_t n, void* destination) {
  require(offset <= entry_.size && n <= entry_.size - offset, "an inflated range lies inside its record");
  if (offset < position_) restart();
  std::vector<std::byte> skipped(std::min<uint64_t>(offset - position_, 1 << 16));
  while (position_ < offset) next(std::min<uint64_t>(offset - position_, skipped.size()), skipped.data());
  next(n, static_cast<std::byte*>(destination));
}

uint32_t crc_of(const std::string& path, const Entry& entry) {
  if (!entry.deflated) return crc32(0, entry.stored.data(), entry.stored.size());
  Inflater inflater(path, entry);
  std::vector<std::byte> block(std::min<uint64_t>(entry.size, 1 << 20));
  uint32_t crc = 0;
  for (uint64_t at = 0; at < entry.size; at += block.size()) {
    const size_t n = std::min<uint64_t>(block.size(), entry.size - at);
    inflater.read(at, n, block.data());
    crc = crc32(crc, block.data(), n);
  }
  return crc;
}

}  // namespace rk::zip
