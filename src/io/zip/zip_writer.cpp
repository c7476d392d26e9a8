#include "io/zip/zip_writer.h"

#include "base/error.h"
#include "io/zip/crc.h"

namespace rk::zip {
namespace {

constexpr uint64_t narrow_limit = 0xffffffff;
constexpr uint16_t flags = 0x0808;  // a descriptor with size and CRC follows the content; names are UTF-8
constexpr uint64_t alignment = 64;

// Little-endian numbers, one after another.
class Bytes {
 public:
  Bytes& u16(uint64_t v) { return number(v, 2); }
  Bytes& u32(uint64_t v) { return number(v, 4); }
  Bytes& u64(uint64_t v) { return number(v, 8); }
  Bytes& text(std::string_view t) {
    bytes_ += t;
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  Bytes& number(uint64_t v, int n) {
    for (int i = 0; i < n; ++i) bytes_ += static_cast<char>(v >> (8 * i) & 0xff);
    return *this;
  }
  std::string bytes_;
};

void put(NewFile& file, const Bytes& b) { file.write(b.str().data(), b.str().size()); }
uint64_t narrow(uint64_t v) { return v < narrow_limit ? v : narrow_limit; }

}  // namespace

void Writer::begin(const std::string& name, uint64_t size) {
  Record r{.name = name, .size = size, .offset = file_.position()};
  const bool wide = size >= narrow_limit;
  Bytes extra;
  if (wide) extra.u16(1).u16(16).u64(0).u64(0);
  const uint64_t unpadded = r.offset + 30 + name.size() + extra.str().size() + 4;
  const uint64_t padding = (alignment - unpadded % alignment) % alignment;
  extra.text("FB").u16(padding).text(std::string(padding, 'Z'));
  Bytes header;
  header.u32(0x04034b50).u16(wide ? 45 : 20).u16(flags).u16(0).u32(0).u32(0);
  header.u32(wide ? narrow_limit : 0).u32(wide ? narrow_limit : 0).u16(name.size()).u16(extra.str().size());
  put(file_, header.text(name).text(extra.str()));
  records_.push_back(std::move(r));
}

void Writer::write(const void* data, size_t n_bytes) {
  Record& r = records_.back();
  r.crc = crc32(r.crc, data, n_bytes);
  r.written += n_bytes;
  file_.write(data, n_bytes);
}

void Writer::end() {
  const Record& r = records_.back();
  require(r.written == r.size, "a record gets the bytes it declared");
  Bytes descriptor;
  descriptor.u32(0x08074b50).u32(r.crc);
  if (r.size >= narrow_limit) {
    put(file_, descriptor.u64(r.size).u64(r.size));
  } else {
    put(file_, descriptor.u32(r.size).u32(r.size));
  }
}

void Writer::add(const std::string& name, std::string_view content) {
  begin(name, content.size());
  write(content.data(), content.size());
  end();
}

void Writer::finish() {
  const uint64_t directory = file_.position();
  for (const Record& r : records_) {
    Bytes wide, entry;
    if (r.size >= narrow_limit) wide.u64(r.size).u64(r.size);
    if (r.offset >= narrow_limit) wide.u64(r.offset);
    Bytes extra;
    if (!wide.str().empty()) extra.u16(1).u16(wide.str().size()).text(wide.str());
    const uint64_t version = wide.str().empty() ? 20 : 45;
    entry.u32(0x02014b50).u16(version).u16(version).u16(flags).u16(0).u32(0).u32(r.crc).u32(narrow(r.size)).u32(narrow(r.size));
    entry.u16(r.name.size()).u16(extra.str().size()).u16(0).u16(0).u16(0).u32(0).u32(narrow(r.offset));
    put(file_, entry.text(r.name).text(extra.str()));
  }
  const uint64_t end = file_.position(), size = end - directory, n = records_.size();
  if (n >= 0xffff || directory >= narrow_limit || size >= narrow_limit) {
    Bytes wide_end;
    wide_end.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0).u64(n).u64(n).u64(size).u64(directory);
    put(file_, wide_end.u32(0x07064b50).u32(0).u64(end).u32(1));
  }
  const uint64_t count = n < 0xffff ? n : 0xffff;
  put(file_, Bytes().u32(0x06054b50).u16(0).u16(0).u16(count).u16(count).u32(narrow(size)).u32(narrow(directory)).u16(0));
}

uint64_t archive_bytes(const std::vector<uint64_t>& sizes, size_t longest_name) {
  uint64_t n = 128;
  for (uint64_t size : sizes) n += size + 256 + 2 * longest_name;
  return n;
}

}  // namespace rk::zip
