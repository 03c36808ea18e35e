// Package v20170312 stands in for the cloud SDK's package of that name: only the names that Flannel's tencent-vpc
// backend uses, so that its daemon builds without that module. Every call fails.
package v20170312

import "errors"

var errAbsent = errors.New("tencent-vpc is not built in")

type Filter struct {
	Name   *string
	Values []*string
}

type Route struct {
	RouteId, DestinationCidrBlock, GatewayType, GatewayId, RouteType *string
	Enabled                                                          *bool
}

type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

type DescribeRouteTablesRequest struct{ Filters []*Filter }

type DeleteRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

type CreateRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

type DescribeRouteTablesResponse struct {
	Response *struct{ RouteTableSet []*RouteTable }
}

type Response struct{}

type Client struct{}

func NewClientWithSecretId(id, key, region string) (*Client, error) { return nil, errAbsent }

func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}

func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }

func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }

func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errAbsent
}

func (*Client) DeleteRoutes(*DeleteRoutesRequest) (*Response, error) { return nil, errAbsent }

func (*Client) CreateRoutes(*CreateRoutesRequest) (*Response, error) { return nil, errAbsent }
