#include "byte_rows.hpp"

#include <cstring>

namespace labelquorum {
namespace {

constexpr std::size_t max_bytes_in_place = 128;  // of a row; longer ones are packed first

}  // namespace

std::optional<ByteRows> rows_in_place(const Partitions& partitions) {
    const Column& first = partitions.columns.front();
    const auto* data = static_cast<const char*>(first.data);
    const std::size_t width = width_of(first.type);
    const std::size_t size = width * partitions.columns.size();
    if (size < sizeof(std::uint64_t) || size > max_bytes_in_place) return std::nullopt;
    for (std::size_t j = 0; j < partitions.columns.size(); ++j) {
        const Column& column = partitions.columns[j];
        if (column.type != first.type || column.stride != first.stride ||
            column.data != data + j * width) {
            return std::nullopt;
        }
    }
    return ByteRows{data, first.stride, size};
}

ByteRows words_as_bytes(const std::uint64_t* words, std::size_t n_words) {
    const std::size_t size = n_words * sizeof(std::uint64_t);
    return {reinterpret_cast<const char*>(words), static_cast<std::ptrdiff_t>(size), size};
}

ByteRows gather(const ByteRows& rows, std::span<const std::uint32_t> numbers, char* to) {
    const std::size_t last_word = rows.size - sizeof(std::uint64_t);
    char* copy = to;
    for (const std::uint32_t i : numbers) {
        // Word by word, which beats memcpy for short rows. The last word may overlap the one
        // before.
        const char* row = rows.row(i);
        for (std::size_t b = 0; b < last_word; b += sizeof(std::uint64_t)) {
            std::memcpy(copy + b, row + b, sizeof(std::uint64_t));
        }
        std::memcpy(copy + last_word, row + last_word, sizeof(std::uint64_t));
        copy += rows.size;
    }
    return {to, static_cast<std::ptrdiff_t>(rows.size), rows.size};
}

Partitions columns_of(const Partitions& partitions, const ByteRows& rows) {
    Partitions result = partitions;
    const auto* origin = static_cast<const char*>(partitions.columns.front().data);
    for (Column& column : result.columns) {
        column.data = rows.data + (static_cast<const char*>(column.data) - origin);
        column.stride = rows.stride;
    }
    return result;
}

}  // namespace labelquorum
