// A view of an ensemble of partitions: one strided column per partition.
//
// It covers arrays in C and Fortran order, memory maps, and one array per model, without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace labelquorum {

enum class IntegerType : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64 };

// A cluster id is larger than max_cluster_id. The message says where and what it is.
struct ClusterIdError : std::range_error {
    using std::range_error::range_error;
};

struct Column {
    const void* data;       // the first row's value; may be unaligned
    std::ptrdiff_t stride;  // bytes from one row to the next; may be 0 or negative
    IntegerType type;       // native byte order
};

struct Partitions {
    std::vector<Column> columns;  // one per partition
    std::size_t n_rows = 0;

    std::size_t n_partitions() const { return columns.size(); }
};

constexpr std::size_t width_of(IntegerType type) {
    switch (type) {
        case IntegerType::i8:
        case IntegerType::u8: return 1;
        case IntegerType::i16:
        case IntegerType::u16: return 2;
        case IntegerType::i32:
        case IntegerType::u32: return 4;
        default: return 8;
    }
}

inline constexpr std::int64_t max_cluster_id = 2147483647;

// A vote as a code: 0 for an abstention (any negative value), otherwise the cluster id plus 1.
using Code = std::uint32_t;

template <class T>
constexpr bool is_valid_id(T value) {
    if constexpr (sizeof(T) < 4 || std::is_same_v<T, std::int32_t>) {
        return true;
    } else {
        return value <= static_cast<T>(max_cluster_id);
    }
}

template <class T>
constexpr Code to_code(T value) {
    if constexpr (std::is_signed_v<T>) {
        return value < 0 ? Code{0} : static_cast<Code>(value) + 1;
    } else {
        return static_cast<Code>(value) + 1;
    }
}

// A column of known type. Values are read by memcpy, because they may be unaligned.
template <class T>
struct TypedColumn {
    const char* data;
    std::ptrdiff_t stride;

    T operator[](std::size_t row) const {
        T value;
        std::memcpy(&value, data + static_cast<std::ptrdiff_t>(row) * stride, sizeof(T));
        return value;
    }
};

// Calls f with the column as a TypedColumn<T> of its own type.
template <class F>
decltype(auto) visit(const Column& column, F&& f) {
    const auto* data = static_cast<const char*>(column.data);
    switch (column.type) {
        case IntegerType::i8: return f(TypedColumn<std::int8_t>{data, column.stride});
        case IntegerType::i16: return f(TypedColumn<std::int16_t>{data, column.stride});
        case IntegerType::i32: return f(TypedColumn<std::int32_t>{data, column.stride});
        case IntegerType::i64: return f(TypedColumn<std::int64_t>{data, column.stride});
        case IntegerType::u8: return f(TypedColumn<std::uint8_t>{data, column.stride});
        case IntegerType::u16: return f(TypedColumn<std::uint16_t>{data, column.stride});
        case IntegerType::u32: return f(TypedColumn<std::uint32_t>{data, column.stride});
        case IntegerType::u64: return f(TypedColumn<std::uint64_t>{data, column.stride});
    }
    throw std::invalid_argument("unknown integer type");
}

// Throws ClusterIdError for the first id larger than max_cluster_id in rows [begin, end), searching
// column by column.
void check_ids(const Partitions& partitions, std::size_t begin, std::size_t end);

// The same where such an id has been read already. Throws std::invalid_argument if it is gone.
[[noreturn]] void refuse_ids(const Partitions& partitions, std::size_t begin, std::size_t end);

}  // namespace labelquorum
